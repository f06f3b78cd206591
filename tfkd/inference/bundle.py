"""A model file, its contract and its card as one thing: a folder, a .zip, or the file alone."""

import re
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tfkd.errors import ContractError

__all__ = ["CARD_NAME", "open_bundle"]

CARD_NAME = "MODEL_CARD.md"

# Far above what a student needs, and low enough that an archive made to do harm fills no disk.
_LIMIT_BYTES = {".tflite": 512 * 2**20, ".json": 64 * 2**20, ".md": 2**20}

# One name, without a folder, and none that a system reads as something else.
_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")

_WRITE_AGAIN = "Write it with `tfkd bundle`, or take it from its source again."


@contextmanager
def open_bundle(path: str | Path) -> Iterator[Path]:
    """Give the model file of a bundle, with its contract beside it.

    Of a .zip both are there for the length of the block only: they lie in a temporary folder. What
    is in the files is not looked at; `Contract.load` does that.

    Args:
        path: a folder with one `.tflite` file, a `.zip` that `tfkd.export.write_bundle` wrote, or
            the `.tflite` file itself.

    Yields:
        The `.tflite` file.

    Raises:
        ContractError: the folder holds no model or several; the archive is missing, damaged, or
            holds anything but a model, its contract and its card, each of a plain name, a
            sensible size and stored or deflated. An error of the contract that is raised in the
            block names the archive.
    """
    path = Path(path)
    if path.is_dir():
        yield _only_model(path)
    elif path.suffix.lower() != ".zip":
        yield path
    else:
        with tempfile.TemporaryDirectory(prefix="tfkd-") as folder:
            model = _extract(path, Path(folder))
            try:
                yield model
            except ContractError as error:
                # The reader knows the archive, not where it was unpacked.
                raise ContractError(str(error).replace(folder, str(path))) from error


def _only_model(folder: Path) -> Path:
    models = sorted(path for path in folder.glob("*.tflite") if path.is_file())
    if len(models) != 1:
        names = ", ".join(path.name for path in models) or "none"
        raise ContractError(
            f"{folder}: expected one .tflite file in the folder, received {names}. Give a folder "
            "that `tfkd bundle` wrote, or the model file itself."
        )
    return models[0]


def _extract(path: Path, folder: Path) -> Path:
    """Unpack an archive that holds what it should, and return the model file."""
    if not path.is_file():
        raise ContractError(f"{path}: expected a bundle, found none. Check the path.")
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            model = _check_members(path, members)
            for member in members:
                # Of the size that was checked: zipfile gives no byte more than the archive states.
                (folder / member.filename).write_bytes(archive.read(member))
    except (
        OSError,
        EOFError,
        RuntimeError,  # encrypted
        NotImplementedError,  # a feature that zipfile lacks
        UnicodeDecodeError,  # a name that says it is UTF-8 and is not
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise ContractError(
            f"{path}: expected a .zip archive that can be read, received: {error}. {_WRITE_AGAIN}"
        ) from error
    return folder / model


def _check_members(path: Path, members: Sequence[zipfile.ZipInfo]) -> str:
    """Return the name of the model; raises if anything is in the archive that should not be."""
    names = [member.filename for member in members]
    unsafe = [name for name in names if not _SAFE_NAME.fullmatch(name)]
    if unsafe:
        raise ContractError(
            f"{path}: expected files with plain names and no folders, received "
            f"{', '.join(map(repr, unsafe[:5]))}. {_WRITE_AGAIN}"
        )
    models = [name for name in names if name.endswith(".tflite")]
    allowed = {CARD_NAME}.union(*({name, f"{name[:-7]}.json"} for name in models))
    if len(models) != 1 or len(set(names)) != len(names) or not set(names) <= allowed:
        raise ContractError(
            f"{path}: expected one .tflite file, its contract .json and {CARD_NAME}, and nothing "
            f"else; received {', '.join(names[:8]) or 'an empty archive'}. {_WRITE_AGAIN}"
        )
    for member in members:
        # zipfile bounds what these two unpack to; other methods may take any memory or be missing.
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ContractError(
                f"{path}: expected {member.filename} stored or deflated, received compression "
                f"method {member.compress_type}. {_WRITE_AGAIN}"
            )
        limit = _LIMIT_BYTES[Path(member.filename).suffix]
        if member.file_size > limit:
            raise ContractError(
                f"{path}: expected at most {limit} bytes of {member.filename}, received "
                f"{member.file_size}. {_WRITE_AGAIN}"
            )
    return models[0]
