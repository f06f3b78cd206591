"""run.json: what a training was made from and what came of it, for the day that somebody asks."""

import dataclasses
import json
import math
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfkd._version import __version__
from tfkd.errors import RecordError
from tfkd.files import parse_json
from tfkd.volumes import atomic_path, sha256_of

if TYPE_CHECKING:
    import keras

    from tfkd.callbacks import BestStudent, Position
    from tfkd.records import CTRecords

__all__ = ["RUN_RECORD_NAME", "RunRecord"]

RUN_RECORD_NAME = "run.json"


class RunRecord:
    """The run.json of a run folder; written at the start and again at the end.

    Args:
        out: Run folder.
        command: Name of the command.
        config: Its settings.
        data: Its records.
        teachers: Teacher networks by file; none for a training from labels alone.
        position: Where the run goes on, if it is not new: the record then keeps when it was begun.

    Raises:
        RecordError: If the run was begun with other records or teachers; nothing is written then.
    """

    def __init__(
        self,
        out: Path,
        command: str,
        config: Any,
        data: "CTRecords",
        teachers: Mapping[Path, "keras.Model"],
        position: "Position | None" = None,
    ) -> None:
        from tfkd.models import fingerprint

        self._path = out / RUN_RECORD_NAME
        # Of several workers, all look at the record of the first.
        begun = config.out / RUN_RECORD_NAME
        earlier = _read(begun) if position is not None and begun.exists() else {}
        resumed = list(earlier.get("resumed_at", []))
        if position is not None:
            resumed.append({"epoch": position.epoch, "step": position.step})
        self._facts: dict[str, Any] = {
            "command": command,
            "started_utc": earlier.get("started_utc", _now()),
            "finished_utc": None,
            "resumed_at": resumed,
            "seed": config.seed,
            "config": _plain(dataclasses.asdict(config)),
            "versions": {
                "tfkd": __version__,
                "python": platform.python_version(),
                **{name: version(name) for name in ("tensorflow", "keras", "numpy")},
            },
            "manifest_sha256": sha256_of(data.folder / "manifest.json"),
            "trained_on": list(data.trained_on),
            "teachers": [
                {"file": str(path), "fingerprint": fingerprint(model)}
                for path, model in teachers.items()
            ],
        }
        if earlier:
            self._check_same(earlier, begun, data)
        self._write()

    def finish(
        self, student: "keras.Model", weights: int, epochs: int, best: "BestStudent"
    ) -> None:
        """Adds the result.

        Args:
            student: The network that is saved.
            weights: Its number of weights.
            epochs: Epochs that were trained.
            best: Who watched for the best epoch; there is none without validation data.
        """
        from tfkd.models import fingerprint

        chosen = None
        if best.best_epoch is not None:
            chosen = {"epoch": best.best_epoch, best.monitor: best.best_value}
        self._facts |= {
            "finished_utc": _now(),
            "epochs_run": epochs,
            "best": chosen,
            "weights": weights,
            "fingerprint": fingerprint(student),
        }
        self._write()

    def _check_same(self, earlier: Mapping[str, Any], path: Path, data: "CTRecords") -> None:
        changed = [
            f"the {what}"
            for key, what in (
                ("manifest_sha256", f"records in {data.folder}"),
                ("trained_on", "cases to train on"),
            )
            if earlier.get(key) != self._facts[key]
        ]
        begun_with = earlier.get("teachers", [])
        changed += [
            f"the teacher {teacher['file']}"
            for teacher in self._facts["teachers"]
            if teacher not in begun_with
        ]
        if changed:
            raise RecordError(
                f"{path}: expected to go on with what the run was begun with, found other content "
                f"in {', '.join(changed)}. Bring it back, or choose another folder."
            )

    def _write(self) -> None:
        text = json.dumps(self._facts, indent=2, ensure_ascii=False, allow_nan=False)
        with atomic_path(self._path) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")


def _read(path: Path) -> dict[str, Any]:
    try:
        return parse_json(path.read_bytes())
    except ValueError as error:
        raise RecordError(
            f"{path}: expected the record of a training, but {error}. Remove the file to go on "
            "without it."
        ) from error


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _plain(value: Any) -> Any:
    """What JSON can hold: paths become text, and what is not a number becomes null."""
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value
