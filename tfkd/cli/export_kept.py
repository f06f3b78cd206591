"""A model that took long to make is kept with what it was made of, and found again."""

import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from tfkd.volumes import atomic_path

if TYPE_CHECKING:
    import keras

__all__ = ["keep_model", "kept_model"]


def keep_model(model: "keras.Model", path: Path, key: str) -> None:
    """Writes a model with a key, in one step, in place of what is there.

    Args:
        model: Keras model.
        path: `.keras` file to write.
        key: Names all that the model depends on; ASCII of at most 65535 characters. It is the
            comment of the file, which is a zip archive, so that the two are never apart.
    """
    with atomic_path(path) as temporary:
        model.save(temporary)
        with zipfile.ZipFile(temporary, "a") as archive:
            archive.comment = key.encode("ascii")


def kept_model(path: Path, key: str) -> "keras.Model | None":
    """The model that was kept under this key, not compiled.

    Args:
        path: `.keras` file.
        key: As it was given to `keep_model`.

    Returns:
        The model; None if there is no file, one with another key, or a damaged one.
    """
    from tfkd.training import load_network

    try:
        with zipfile.ZipFile(path) as archive:
            if archive.comment != key.encode("ascii") or archive.testzip() is not None:
                return None
        return load_network(path)
    except (OSError, ValueError, zipfile.BadZipFile, zlib.error):
        return None
