"""The JSON file of `tfkd predict --summary`."""

import json
import platform
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfkd._version import __version__
from tfkd.cli.config import ConfigError
from tfkd.files import parse_json
from tfkd.volumes import atomic_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tfkd.inference import FilePrediction, Predictor
    from tfkd.volumes.ct_search import LeftOut

__all__ = ["PredictSummary"]

_SCHEMA_VERSION = 1


class PredictSummary:
    """What was made of each CT, by which model and versions; written anew after each CT.

    Args:
        path: File to write, or None for none.
        predictor: What segments.
        go_on: Whether to keep what the file already says about CTs whose masks are kept.
        left_out: What was found beside the CTs.

    Raises:
        ConfigError: To go on with a file that is no summary, or of another model.
    """

    def __init__(
        self,
        path: Path | None,
        predictor: "Predictor",
        go_on: bool = False,
        left_out: "Sequence[LeftOut]" = (),
    ) -> None:
        self._path = path
        contract = predictor.contract
        self._document: dict[str, Any] = {
            "schema_version": _SCHEMA_VERSION,
            "model": {
                "file": str(predictor.path),
                "sha256": contract.sha256,
                "quantization": contract.quantization,
                "label_names": list(contract.label_names),
                "postprocessing": predictor.postprocessing.to_dict(),
                "created_by": dict(contract.created_by),
            },
            "versions": {
                "tfkd": __version__,
                "python": platform.python_version(),
                "numpy": _version("numpy"),
                "ai-edge-litert": _version("ai-edge-litert"),
            },
            "left_out": [{"path": str(left.path), "reason": left.reason} for left in left_out],
            "cases": [],
        }
        self._earlier: dict[str, Any] = {}
        if go_on and path is not None and path.exists():
            self._earlier = self._read(path)

    def add(
        self,
        ct: Path,
        status: str,
        *,
        prediction: "FilePrediction | None" = None,
        mask: Path | None = None,
        error: str | None = None,
    ) -> None:
        """Adds a CT and writes the file.

        Args:
            ct: Its path.
            status: "done", "skipped" or "failed".
            prediction: What was made of it.
            mask: Path of the mask, where there is no prediction.
            error: Why it failed.
        """
        case: dict[str, Any] = {"ct": str(ct), "status": status}
        if mask is not None:
            case["mask"] = str(mask)
        if prediction is not None:
            case |= {
                "mask": str(prediction.mask),
                "probabilities": {n: str(p) for n, p in prediction.probabilities.items()},
                "case_id": prediction.case_id,
                "slices": prediction.shape_zyx[0],
                "shape_zyx": list(prediction.shape_zyx),
                "spacing_mm_zyx": list(prediction.spacing_mm_zyx),
                "volumes_ml": prediction.volumes_ml,
                "seconds": round(prediction.seconds, 3),
            }
        elif status == "skipped":
            case = self._earlier.get(str(ct), case)
        if error is not None:
            case["error"] = error
        self._document["cases"].append(case)
        if self._path is not None:
            with atomic_path(self._path) as temporary:
                text = json.dumps(self._document, indent=2, ensure_ascii=False, allow_nan=False)
                # In JSON, the escape of a file name that is not valid text stands for itself.
                temporary.write_text(text + "\n", "utf-8", errors="backslashreplace")

    def _read(self, path: Path) -> dict[str, Any]:
        """Return the finished cases of an earlier call, by CT."""
        try:
            document = parse_json(path.read_bytes())
            same = document["model"]["sha256"] == self._document["model"]["sha256"]
            cases = {case["ct"]: case for case in document["cases"] if case["status"] == "done"}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"{path}: expected the summary of an earlier call, received something else "
                f"({error!r}). Give another name, or pass --overwrite."
            ) from error
        if not same:
            raise ConfigError(
                f"{path}: expected the summary of masks by the same model, received one of "
                "another. Choose another folder and summary, or pass --overwrite."
            )
        return cases


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"
