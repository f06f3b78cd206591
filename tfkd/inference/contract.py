"""The contract: everything that a device must know to run a model file rightly, beside the file."""

import json
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from tfkd.errors import ContractError
from tfkd.files import parse_json
from tfkd.inference.golden import GoldenSlice
from tfkd.inference.model_tensor import ModelTensor
from tfkd.inference.postprocessing import Postprocessing
from tfkd.inference.strict_json import exact_keys, typed
from tfkd.volumes import PreprocessSpec, atomic_path, sha256_of

__all__ = ["QUANTIZATIONS", "SCHEMA_VERSION", "Contract", "contract_path"]

SCHEMA_VERSION = 2

QUANTIZATIONS = ("float32", "float16", "dynamic_int8", "int8", "int16x8")

# What a file of each version may hold. Version 2 came with `postprocessing`. Nobody asks for
# "int8_mixed": it is what becomes of int8 where that alone loses too much.
_QUANTIZATIONS_OF = {
    1: ("float32", "float16", "int8"),
    2: (*QUANTIZATIONS, "int8_mixed"),
}
_OPTIONAL_KEYS_OF = {1: ("threshold",), 2: ("threshold", "postprocessing")}

_KEYS = (
    "schema_version",
    "file",
    "sha256",
    "size_bytes",
    "quantization",
    "label_names",
    "spec",
    "input",
    "output",
    "golden",
    "created_by",
)


def contract_path(model_path: str | Path) -> Path:
    """Return where the contract of a model file lies: `student.tflite` → `student.json`."""
    return Path(model_path).with_suffix(".json")


@dataclass(frozen=True, eq=False)
class Contract:
    """What is beside `student.tflite` in `student.json`.

    Attributes:
        file: name of the model file, without its folder.
        sha256: of the model file, hexadecimal.
        size_bytes: of the model file.
        quantization: one of `QUANTIZATIONS`: "float32"; "float16" (weights only);
            "dynamic_int8" (weights; activations while it runs); "int8" (everything, input and
            output too); "int16x8" (weights int8, activations int16); or "int8_mixed" (int8 but
            for some features that stay in floating point). Input and output are float32 in all
            of them but int8.
        spec: how a CT becomes the network's input.
        label_names: index = label value; the first is the background.
        input: the model's input tensor.
        output: the model's output tensor: logits.
        golden: one slice with its expected answer.
        created_by: versions of the packages that wrote the file.
        threshold: with two classes, the probability above which a pixel is foreground; None, and
            then not in the file, for the highest class.
        postprocessing: what is done to the mask of a whole volume; empty, and then not in the
            file, for nothing.
        schema_version: of the JSON layout. A file of an earlier one becomes one of this version
            when it is read.
    """

    file: str
    sha256: str
    size_bytes: int
    quantization: str
    spec: PreprocessSpec
    label_names: tuple[str, ...]
    input: ModelTensor
    output: ModelTensor
    golden: GoldenSlice
    created_by: dict[str, str]
    threshold: float | None = None
    postprocessing: Postprocessing = field(default_factory=Postprocessing)
    schema_version: int = SCHEMA_VERSION

    def to_dict(self) -> dict[str, Any]:
        """Return what `from_dict` reads, in the order in which people want to read it."""
        optional: dict[str, Any] = {}
        if self.threshold is not None:
            optional["threshold"] = self.threshold
        if self.postprocessing:
            optional["postprocessing"] = self.postprocessing.to_dict()
        return {
            "schema_version": self.schema_version,
            "file": self.file,
            "sha256": self.sha256,
            "size_bytes": self.size_bytes,
            "quantization": self.quantization,
            "label_names": list(self.label_names),
            **optional,
            "spec": self.spec.to_dict(),
            "input": self.input.to_dict(),
            "output": self.output.to_dict(),
            "created_by": dict(self.created_by),
            "golden": self.golden.to_dict(),
        }

    def save(self, path: str | Path) -> None:
        """Write the contract as JSON; the file appears whole or not at all."""
        with atomic_path(path) as temporary:
            Path(temporary).write_text(json.dumps(self.to_dict(), indent=2) + "\n", "utf-8")

    @classmethod
    def from_dict(cls, value: Any, where: str = "contract") -> "Contract":
        """Read what `to_dict` gave.

        Args:
            value: the parsed JSON value.
            where: words for the error message, such as the path of the file.

        Raises:
            ContractError: a newer or unknown schema version, an unknown or missing key, a wrong
                type, or parts that contradict each other.
        """
        version = _known_version(value, where)
        given = [key for key in _OPTIONAL_KEYS_OF[version] if key in value]
        record = exact_keys(value, (*_KEYS, *given), where)
        names = typed(record, "label_names", list, where)
        contract = cls(
            file=typed(record, "file", str, where),
            sha256=typed(record, "sha256", str, where),
            size_bytes=typed(record, "size_bytes", int, where),
            quantization=typed(record, "quantization", str, where),
            spec=_read_spec(record["spec"], f"{where}, key 'spec'"),
            label_names=tuple(names),
            input=ModelTensor.from_dict(record["input"], f"{where}, key 'input'"),
            output=ModelTensor.from_dict(record["output"], f"{where}, key 'output'"),
            golden=GoldenSlice.from_dict(record["golden"], len(names), f"{where}, key 'golden'"),
            created_by=typed(record, "created_by", dict, where),
            threshold=(
                float(typed(record, "threshold", (int, float), where))
                if "threshold" in given
                else None
            ),
            postprocessing=(
                Postprocessing.from_dict(record["postprocessing"], f"{where}, key 'postprocessing'")
                if "postprocessing" in given
                else Postprocessing()
            ),
        )
        contract._check_consistent(where, _QUANTIZATIONS_OF[version])
        return contract

    @classmethod
    def load(cls, model_path: str | Path) -> "Contract":
        """Read the contract of a model file and checks that it belongs to this very file.

        Args:
            model_path: the `.tflite` file.

        Raises:
            ContractError: the model or its contract is missing, the contract cannot be read, or the
                file's SHA-256 is not the contract's.
        """
        model_path = Path(model_path)
        beside = contract_path(model_path)
        if not model_path.is_file():
            raise ContractError(
                f"{model_path}: expected a .tflite model file, found none. Check the path."
            )
        if not beside.is_file():
            raise ContractError(
                f"{model_path}: expected its contract {beside.name} beside it, found none. "
                "Copy it from where the model was exported, or export the model again; without it "
                "the window, size and labels of the model are unknown."
            )
        contract = cls.from_dict(_parse(beside), str(beside))
        received = sha256_of(model_path)
        if received != contract.sha256:
            raise ContractError(
                f"{model_path}: expected SHA-256 {contract.sha256} as {beside.name} states, "
                f"received {received}. The two do not belong together or the file is damaged: copy "
                "both again, or export the model again."
            )
        return contract

    def _check_consistent(self, where: str, quantizations: tuple[str, ...]) -> None:
        """Raises if the parts contradict each other, as after an edit by hand."""
        height, width, channels = self.spec.input_shape
        expected = {
            "input shape": (1, height, width, channels),
            "output shape": (1, height, width, len(self.label_names)),
            "golden slice": (height, width, channels),
        }
        received = {
            "input shape": self.input.shape,
            "output shape": self.output.shape,
            "golden slice": self.golden.image_hu.shape,
        }
        if expected != received or not all(isinstance(name, str) for name in self.label_names):
            raise ContractError(
                f"{where}: expected, from 'spec' and 'label_names', {expected}; received "
                f"{received} with label names {list(self.label_names)}. Export the model again."
            )
        if len(set(self.label_names)) != len(self.label_names):
            raise ContractError(
                f"{where}: expected each of 'label_names' once, received "
                f"{list(self.label_names)}. Export the model again with a name of its own for each "
                "label."
            )
        threshold: Any = self.threshold
        if threshold is not None and not (
            isinstance(threshold, float) and 0 < threshold < 1 and len(self.label_names) == 2
        ):
            raise ContractError(
                f"{where}: expected a threshold between 0 and 1, for a model of two classes, or "
                f"none; received {threshold!r} and label names {list(self.label_names)}. Export "
                "the model again."
            )
        if self.quantization not in quantizations:
            raise ContractError(
                f"{where}: expected a quantization of {quantizations}, received "
                f"{self.quantization!r}. Export the model again."
            )
        try:
            self.postprocessing.check_labels(self.label_names)
        except ContractError as error:
            raise ContractError(f"{where}: {error} Or export the model again.") from error


def _read_spec(value: Any, where: str) -> PreprocessSpec:
    # `from_dict` fills absent keys with defaults, which is right for settings and wrong here.
    keys = [field.name for field in fields(PreprocessSpec)]
    if not isinstance(value, dict) or "field_size" not in value:
        keys.remove("field_size")  # stands there only if it is set
    try:
        return PreprocessSpec.from_dict(exact_keys(value, keys, where))
    except ValueError as error:
        raise ContractError(f"{where}: {error} Export the model again.") from error


def _parse(path: Path) -> Any:
    try:
        return parse_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ContractError(
            f"{path}: expected a contract in JSON, received something unreadable ({error}). "
            "Copy it again from where the model was exported, or export the model again."
        ) from error


def _known_version(value: Any, where: str) -> int:
    # Before the keys, since another version may have others.
    received = value.get("schema_version") if isinstance(value, dict) else None
    if type(received) is int and received in _OPTIONAL_KEYS_OF:
        return received
    if isinstance(received, int) and received > SCHEMA_VERSION:
        advice = "It was written by a newer tfkd: upgrade tfkd on this machine"
    else:
        advice = "Export the model again with this version of tfkd"
    raise ContractError(
        f"{where}: expected contract schema version 1 to {SCHEMA_VERSION}, received {received!r}. "
        f"{advice}."
    )
