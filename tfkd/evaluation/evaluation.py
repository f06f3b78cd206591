"""One row of the report: a model, its counts on every case and its costs, kept as JSON."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Self, get_args

from tfkd.errors import RecordError
from tfkd.files import parse_json, typed
from tfkd.metrics import CaseTable
from tfkd.volumes import PROTOCOLS, WHOLE_VOLUME, atomic_path, sha256_of

__all__ = ["ROLES", "Evaluation", "ModelInfo", "Role"]

Role = Literal["teacher", "plain", "distilled", "float32", "float16", "int8", "other"]
"""What a row is in the comparison: teacher, plain or distilled student, or an exported file."""

ROLES: tuple[Role, ...] = get_args(Role)

_SCHEMA_VERSION = 1


@dataclass(frozen=True)
class ModelInfo:
    """A model as the report names it, with its costs.

    Attributes:
        name: heading of the row, such as "distilled student"; unique in a report.
        role: place in the comparison, one of `ROLES`.
        file: name of the model file, if it has one.
        parameters: number of weights, if known.
        file_bytes: size of the model file, bytes, if it has one.
        ms_per_slice: median time of one slice at batch 1, milliseconds, if measured
            (`time_per_slice_ms`).
        sha256: of the model file, 64 hexadecimal digits, if it has one; None in evaluations from
            before it was kept, too.

    Raises:
        ValueError: on an empty name or an unknown role.
    """

    name: str
    role: Role = "other"
    file: str | None = None
    parameters: int | None = None
    file_bytes: int | None = None
    ms_per_slice: float | None = None
    sha256: str | None = None

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("Expected a name for the row. Received an empty one")
        if self.role not in ROLES:
            raise ValueError(f"Expected a role in {ROLES}. Received: role={self.role!r}")

    @classmethod
    def of_file(
        cls,
        path: str | os.PathLike[str],
        name: str,
        role: Role = "other",
        *,
        parameters: int | None = None,
        ms_per_slice: float | None = None,
    ) -> Self:
        """Describes a model file, its size and its SHA-256 read from the disk.

        Raises:
            FileNotFoundError: if the file is not there.
        """
        path = Path(path)
        size = path.stat().st_size
        # A bundle's folder has a size and no content of its own.
        sha256 = sha256_of(path) if path.is_file() else None
        return cls(name, role, path.name, parameters, size, ms_per_slice, sha256)


@dataclass(frozen=True)
class Evaluation:
    """Scores of one model on a set of whole volumes.

    Attributes:
        model: what was evaluated and what it costs.
        table: counts of every class in every case, with the policy for empty masks (by default a
            case without the class on either side is left out of its mean).
        seconds_per_volume: median time from CT to mask, seconds, reading and writing left out.
        masks_dir: folder with one `<case_id>.nii.gz` per case, or None if masks were not kept.
        environment: where and when it was measured, as words.
        protocol: name of the `tfkd.volumes.Protocol` by which it was scored.

    Raises:
        ValueError: on an unknown protocol.
    """

    model: ModelInfo
    table: CaseTable
    seconds_per_volume: float | None = None
    masks_dir: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    protocol: str = WHOLE_VOLUME.name

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise ValueError(f"Expected a protocol in {list(PROTOCOLS)}. Received {self.protocol}")

    @property
    def name(self) -> str:
        """Heading of the row."""
        return self.model.name

    @property
    def role(self) -> Role:
        """Place in the comparison."""
        return self.model.role

    def mask_path(self, case_id: str) -> Path | None:
        """The predicted mask of a case, or None if it was not kept or is no longer there."""
        if self.masks_dir is None:
            return None
        path = mask_file(self.masks_dir, case_id)
        return path if path.is_file() else None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the evaluation as JSON, atomically; the masks stay where they are.

        The masks' folder is noted relative to the JSON file, so that both can be moved together.
        """
        path = Path(path)
        document: dict[str, Any] = {
            "schema_version": _SCHEMA_VERSION,
            "model": asdict(self.model),
            "seconds_per_volume": self.seconds_per_volume,
            "masks_dir": _relative_to(self.masks_dir, path.parent),
            "environment": dict(self.environment),
            "protocol": self.protocol,
            "table": json.loads(self.table.to_json()),
        }
        with atomic_path(path) as temporary:
            temporary.write_text(
                json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n",
                encoding="utf-8",
            )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Reads what `save` wrote.

        Raises:
            RecordError: if the file is missing or is not an evaluation, naming it.
        """
        path = Path(path)
        try:
            document = parse_json(path.read_bytes())
            if document["schema_version"] != _SCHEMA_VERSION:
                raise RecordError(
                    f"{path}: expected schema version {_SCHEMA_VERSION} of an evaluation. Received "
                    f"{document['schema_version']}. Run `tfkd evaluate` again with this version."
                )
            table = CaseTable.from_json(json.dumps(document["table"]))
            stored = typed(_Stored, document, {"table": table})
            return cls(
                model=stored.model,
                table=table,
                seconds_per_volume=stored.seconds_per_volume,
                masks_dir=None if stored.masks_dir is None else path.parent / stored.masks_dir,
                environment=stored.environment,
                protocol=stored.protocol,
            )
        except FileNotFoundError as error:
            raise RecordError(
                f"{path}: expected an evaluation. Received no file; make it with `tfkd evaluate`."
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise RecordError(
                f"{path}: expected an evaluation written by `tfkd evaluate`. "
                f"Received a file that cannot be read as one: {error}"
            ) from error


@dataclass(frozen=True)
class _Stored:
    """An evaluation as its file has it."""

    schema_version: int
    model: ModelInfo
    table: CaseTable
    seconds_per_volume: float | None
    masks_dir: str | None
    environment: dict[str, str]
    protocol: str = WHOLE_VOLUME.name


def mask_file(masks_dir: str | os.PathLike[str], case_id: str) -> Path:
    """Where the mask of a case is kept: `<masks_dir>/<case_id>.nii.gz`."""
    return Path(masks_dir) / f"{case_id.replace(os.sep, '_')}.nii.gz"


def _relative_to(folder: Path | None, start: Path) -> str | None:
    if folder is None:
        return None
    return Path(os.path.relpath(folder.resolve(), start.resolve())).as_posix()
