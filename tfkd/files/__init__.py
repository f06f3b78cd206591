"""Files are read and written safely, whatever they hold; at the bottom of the house."""

from tfkd.files.strict_json import parse_json

__all__ = ["parse_json"]
