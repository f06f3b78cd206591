"""An array in a temporary file that lives as long as a `with` block."""

import tempfile
from types import TracebackType
from typing import Self

__all__ = ["TemporaryArray"]


class TemporaryArray:
    """Base of what keeps an array in a file without a name, as `_file`."""

    def __init__(self) -> None:
        # The system removes the file with the handle.
        self._file = tempfile.TemporaryFile(prefix="tfkd-")  # noqa: SIM115

    def __enter__(self) -> Self:
        """Return the array, whose file is removed after the block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the file."""
        self._file.close()
