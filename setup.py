"""Entry for the build; metadata and tool settings live in pyproject.toml."""

from setuptools import setup

setup()
