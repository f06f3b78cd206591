"""What is fuzzed: something whole, a way to spoil it, and what may come of that."""

import warnings
from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np

from tests.robustness.mutations import ODD_TEXT
from tfkd.failures import is_expected

__all__ = ["Failed", "Target", "attempt"]


class Failed(Exception):
    """A mutation ended in something that must not be."""


class Target(ABC):
    """One kind of input.

    `setup` makes it whole, once. `mutate` spoils it in a folder of its own and says how; `read`
    does with it what a user does. A mutation is right where `read` gives what it gives of the whole
    input, where it raises an expected error of one line, or where `judge` finds the difference to
    be what the mutation means.
    """

    name: str

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.setup()

    @abstractmethod
    def setup(self) -> None:
        """Makes the whole input below `self.folder`."""

    @abstractmethod
    def mutate(self, rng: np.random.Generator, folder: Path) -> tuple[Path, str]:
        """Writes a spoilt input into the folder; returns its path and what was done."""

    @abstractmethod
    def read(self, path: Path) -> object:
        """Reads the input as a user's call does."""

    def judge(self, path: Path, description: str, found: object, told: bool) -> str:
        """Names the outcome of a `read` without an error, or raises `Failed`.

        Args:
            path: The spoilt input.
            description: Of the mutation.
            found: What `read` gave.
            told: Whether there was a warning.
        """
        return "told" if told else "read"

    def names_file(self, path: Path, message: str) -> bool:
        """Whether an error says which file it is about."""
        return path.name in message


def attempt(target: Target, rng: np.random.Generator, folder: Path) -> tuple[str, str]:
    """Makes one mutation and reads it.

    Returns:
        Outcome ("same", "told", "refused", …) and description.

    Raises:
        Failed: With the description, and what is wrong.
    """
    path, description = target.mutate(rng, folder)
    before = sorted(one.relative_to(folder) for one in folder.rglob("*"))
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = target.read(path)
        outcome = target.judge(path, description, found, bool(caught))
    except Failed as error:
        raise Failed(f"{description}: {error}") from error
    except Exception as error:
        message = str(error)
        if not is_expected(error):
            raise Failed(f"{description}: unexpected {type(error).__name__}: {message}") from error
        # The command line escapes what a file's own text brings along.
        if len(message.replace(ODD_TEXT, "").splitlines()) > 1:
            raise Failed(f"{description}: an error of several lines: {message}") from error
        if not target.names_file(path, message):
            raise Failed(f"{description}: an error that names no file: {message}") from error
        outcome = "refused"
    after = sorted(one.relative_to(folder) for one in folder.rglob("*"))
    if after != before:
        raise Failed(f"{description}: left behind: {', '.join(map(str, set(after) - set(before)))}")
    return outcome, description
