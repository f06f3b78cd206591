"""A network as a file that knows what it was trained on.

Keras calls `save_assets` of whatever has one when it writes a file, and puts what that writes among
the file's assets, which `keras.saving.load_model` leaves alone where nobody asks for them. So the
facts are written by `network.save` too, in the same archive, and need no class of this library in
it. Reading them is left to `load_network`: plain Keras gives a network that does not know them.

Keras is imported on first use, see `tfkd.models.fingerprint`.
"""

import json
import os
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tfkd.files import parse_json
from tfkd.volumes import DataFacts, atomic_path

if TYPE_CHECKING:
    import keras

__all__ = ["check_fits", "facts_of", "load_network", "read_facts", "save_network", "set_facts"]

_FILE_NAME = "tfkd.json"
_MEMBER = f"assets/{_FILE_NAME}"
_MOST_BYTES = 2**20

# Encryption is a RuntimeError.
_UNREADABLE = (
    ValueError,
    RuntimeError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True)
class _FactsWriter:
    """Stands on a network as its `save_assets`."""

    facts: DataFacts

    def __call__(self, folder: str) -> None:
        text = json.dumps(self.facts.to_dict(), indent=1, ensure_ascii=False)
        Path(folder, _FILE_NAME).write_text(text + "\n", encoding="utf-8")


def facts_of(network: "keras.Model") -> DataFacts | None:
    """What a network was trained on.

    Args:
        network: From `load_network`, or one that was trained by a `Distiller` on data that has
            facts, or that `set_facts` was called on.

    Returns:
        The facts; None where they are not known, as of a network from elsewhere.
    """
    writer = vars(network).get("save_assets")
    return writer.facts if isinstance(writer, _FactsWriter) else None


def set_facts(network: "keras.Model", facts: DataFacts | None) -> None:
    """Lets a network know what it was trained on; its files will say so, and it is not changed.

    Args:
        network: Keras model.
        facts: Such as `CTRecords.facts`; None lets it forget them.

    Raises:
        ValueError: If the network has other classes or another input.
    """
    if facts is None:
        if facts_of(network) is not None:
            del network.save_assets
        return
    check_fits(network, facts)
    network.save_assets = _FactsWriter(facts)


def check_fits(network: "keras.Model", facts: DataFacts) -> None:
    """Raises a `ValueError` if a network's shapes are not those of the facts.

    A network whose shapes are not known, or not fixed, is not judged by them.
    """
    inputs, outputs = (getattr(network, key, None) or [] for key in ("inputs", "outputs"))
    if len(inputs) != 1 or len(outputs) != 1 or len(inputs[0].shape) != 4:
        return  # such as one that has not been called yet
    received = (*inputs[0].shape[1:], outputs[0].shape[-1])
    expected = (*facts.spec.input_shape, facts.num_classes)
    if not all(one in (None, other) for one, other in zip(received, expected, strict=True)):
        raise ValueError(
            f"Expected a network for the data: input (H, W, C) {facts.spec.input_shape} and "
            f"{facts.num_classes} classes ({', '.join(facts.label_names)}). Received "
            f"{network.name!r} with input {received[:-1]} and {received[-1]} classes; build it "
            "with the data's `spec.input_shape` and `num_classes`."
        )


def save_network(
    network: "keras.Model", path: str | os.PathLike[str], facts: DataFacts | None = None
) -> None:
    """Saves a network in float32 and without the state of an optimizer, which is twice as large.

    A network of mixed precision would otherwise compute in half precision wherever it is loaded. An
    earlier file is replaced once the new one is complete and on the disk. Plain
    `keras.saving.load_model` reads the file; `load_network` reads what it was trained on besides.

    Args:
        network: Functional model with one input and one output.
        path: The file, `.keras`.
        facts: What the network was trained on, such as `CTRecords.facts`; what it knows by itself
            when left out.

    Raises:
        TypeError: If it is no Keras model.
        ValueError: If the facts are of other classes or another input, or the network is a subclass
            or was not built.
    """
    import keras

    from tfkd.models.logits import functional
    from tfkd.models.precision import as_float32

    functional(network, "network")
    facts = facts_of(network) if facts is None else facts
    alone = as_float32(keras.Model(network.inputs[0], network.outputs[0], name=network.name))
    set_facts(alone, facts)
    with atomic_path(path) as temporary:
        alone.save(temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())


def load_network(path: str | os.PathLike[str]) -> "keras.Model":
    """A saved Keras model, not compiled, that knows what it was trained on if the file does.

    Args:
        path: File of `save_network`, or of `save` of any Keras 3 model.

    Raises:
        FileNotFoundError: If the file is not there.
        ValueError: If it is no model, one with layers that Keras does not know, or one whose facts
            cannot be read.
    """
    import keras

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected a Keras model file, found none.")
    expected = f"{path}: expected a model saved by Keras 3 (.keras)"
    if path.suffix == ".keras" and not zipfile.is_zipfile(path):
        raise ValueError(f"{expected}, which is a zip archive. The file is none, or damaged.")
    try:
        network = keras.saving.load_model(path, compile=False)
    except (ValueError, OSError, KeyError, TypeError) as error:
        # Keras appends all that it knows of a class that it cannot find.
        reason = str(error).split("Full object config")[0].strip()
        raise ValueError(f"{expected}: {reason}") from error
    try:
        set_facts(network, read_facts(path))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return network


def read_facts(path: str | os.PathLike[str]) -> DataFacts | None:
    """What the network in a `.keras` file was trained on, without loading it; None if unknown.

    Raises:
        ValueError: If the file has facts that cannot be read.
    """
    if not zipfile.is_zipfile(path):
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            if _MEMBER not in archive.namelist():
                return None
            size = archive.getinfo(_MEMBER).file_size
            if size > _MOST_BYTES:
                raise ValueError(f"expected at most {_MOST_BYTES} bytes, received {size}")
            return DataFacts.from_dict(parse_json(archive.read(_MEMBER)))
    except _UNREADABLE as error:
        raise ValueError(
            f"Expected in {_MEMBER} what the network was trained on, but it cannot be read "
            f"({error}). Copy the file again, upgrade tfkd if a newer version wrote it, or train "
            "the network again."
        ) from error
