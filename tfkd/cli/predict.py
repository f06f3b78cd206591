"""`tfkd predict`: CTs to their masks, without TensorFlow."""

import functools
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tfkd.cli.config import (
    ConfigError,
    check_same_settings,
    check_suffix,
    config_path,
    option,
    write_config,
)
from tfkd.cli.predict_list import ListedCTs, list_cts
from tfkd.cli.predict_masks import beside, check_is_no_ct, mask_paths
from tfkd.cli.predict_skip import check_mask_is_of
from tfkd.cli.predict_summary import PredictSummary
from tfkd.cli.progress import progress_bar
from tfkd.errors import GeometryError
from tfkd.failures import explain, one_line, working_on
from tfkd.volumes.names import name_of

if TYPE_CHECKING:
    from tfkd.inference import FilePrediction, Predictor

SUMMARY = "Segment CTs with an exported model; needs no TensorFlow."
EXAMPLE = "tfkd predict student.tflite ct.nii.gz -o mask.nii.gz"

# What a later call that goes on with a folder may set otherwise.
_FREE = ("ct", "out", "threads", "overwrite", "summary")


@dataclass(frozen=True)
class Config:
    """Settings of `tfkd predict`."""

    model: Path = option(
        "model file, .tflite, with its contract beside it; or a bundle, a folder or .zip"
    )
    ct: tuple[Path, ...] = option(
        "CTs: .nii or .nii.gz files, folders of a DICOM series, or folders of many, with all their "
        "subfolders; one or several; masks among them are left out, which is said"
    )
    out: Path | None = option(
        "for one CT the mask to write, by default the CT's name with _mask; for several, or where "
        "it is a folder, the folder of the masks, in which those that are there already are left "
        "alone, and CTs of one name take those of their folders too; one CT that fails does not "
        "stop the others, but the exit status is then 1",
        flag="-o",
        default=None,
    )
    format: Literal["nifti", "dicom-seg"] = option(
        "kind of the mask; DICOM SEG needs DICOM CTs and the extra tfkd[dicom]", default="nifti"
    )
    probabilities: bool = option(
        "write the probability of each foreground label as well, to a NIfTI file of its own "
        "beside the mask",
        default=False,
    )
    flips: bool = option(
        "average with the left-right mirror image; twice the time, for networks trained with "
        "mirror images",
        default=False,
    )
    postprocessing: bool = option("clean the mask as the contract asks for", default=True)
    summary: Path | None = option(
        "JSON file to write: mL of each label, seconds, slices, versions, by CT", default=None
    )
    identity_affine: str | None = option(
        "axis codes of a CT that states no orientation, whose affine is the identity; LAS, as of "
        "the 3D-IRCADb cases of LiTS17 and MSD, when left out",
        default=None,
    )
    threads: int | None = option("threads; all cores when left out", default=None)
    overwrite: bool = option("replace masks that are there", default=False)

    @property
    def suffix(self) -> str:
        """Of a mask that is given no name."""
        return ".dcm" if self.format == "dicom-seg" else ".nii.gz"


def run(config: Config) -> None:
    """Segments and says how much of each label there is.

    Raises:
        TfkdError: A CT failed; where there are several, when all have been tried.
    """
    if config.summary is not None:
        check_suffix(config.summary, ".json")
    listed = list_cts(config.ct)
    for line in listed.lines:
        print(f"tfkd predict: {line}", file=sys.stderr, flush=True)
    is_one = listed.cts == config.ct and len(listed.cts) == 1
    if is_one and not (config.out and config.out.is_dir()):
        _run_one(config, listed)
    else:
        _run_all(config, listed)


def _run_one(config: Config, listed: ListedCTs) -> None:
    (ct,) = listed.cts
    out = config.out or beside(ct, f"{name_of(ct)}_mask{config.suffix}")
    check_suffix(out, *((".dcm",) if config.format == "dicom-seg" else (".nii", ".nii.gz")))
    check_is_no_ct(out, [ct])
    if out.exists() and not config.overwrite:
        raise ConfigError(f"{out}: the mask is there already. Pass --overwrite to replace it.")
    predictor = _predictor(config)
    summary = PredictSummary(config.summary, predictor, left_out=listed.left_out)
    try:
        prediction = _predict(config, predictor, ct, out, "predict")
    except Exception as error:
        summary.add(ct, "failed", mask=out, error=one_line(error))
        raise
    write_config(config, "predict", config_path(out))
    summary.add(ct, "done", prediction=prediction)
    for name, volume_ml in prediction.volumes_ml.items():
        print(f"{name}: {volume_ml:.1f} mL")
    print(out)


def _run_all(config: Config, listed: ListedCTs) -> None:
    cts, folder = listed.cts, config.out
    if folder is None or folder.is_file():
        raise ConfigError(
            f"expected a folder for the masks of {len(cts)} CTs, -o FOLDER. Received {folder}."
        )
    masks = mask_paths(cts, folder, config.suffix)
    if folder.is_dir() and not config.overwrite:
        check_same_settings(config, "predict", folder, free=_FREE)
    predictor = _predictor(config)
    summary = PredictSummary(
        config.summary, predictor, go_on=not config.overwrite, left_out=listed.left_out
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_config(config, "predict", config_path(folder))
    failed = list(listed.failed)
    for path, said in listed.failed.items():
        _say_failed(path, said)
        summary.add(path, "failed", error=said)
    for number, (ct, mask) in enumerate(masks.items(), start=1):
        try:
            if mask.exists() and not config.overwrite:
                check_mask_is_of(mask, ct, config.identity_affine)
                print(f"{ct}: skipped, {mask} is there already", flush=True)
                summary.add(ct, "skipped", mask=mask)
                continue
            title = f"predict {number} of {len(cts)}"
            prediction = _predict(config, predictor, ct, mask, title)
        except Exception as error:  # whatever one CT raises, the others are done
            if isinstance(error, BrokenPipeError) or os.environ.get("TFKD_TRACEBACK"):
                raise
            said = explain(error, "predict")
            failed.append(ct)
            _say_failed(ct, said)
            summary.add(ct, "failed", mask=mask, error=said)
            continue
        summary.add(ct, "done", prediction=prediction)
        volumes = ", ".join(f"{name} {ml:.1f} mL" for name, ml in prediction.volumes_ml.items())
        print(f"{mask}: {volumes}", flush=True)
    if failed:
        raise GeometryError(
            f"{len(failed)} of {len(cts) + len(listed.failed)} CTs failed: "
            f"{', '.join(map(str, failed))}. The other masks are written; the same command tries "
            "these again."
        )


def _say_failed(path: Path, said: str) -> None:
    print(f"tfkd predict: {path}: failed: {said}", file=sys.stderr, flush=True)


def _predictor(config: Config) -> "Predictor":
    from tfkd.inference import Predictor

    return Predictor(
        config.model,
        threads=config.threads,
        flips=config.flips,
        postprocessing=config.postprocessing,
    )


def _predict(
    config: Config, predictor: "Predictor", ct: Path, out: Path, title: str
) -> "FilePrediction":
    from tfkd.inference import predict_file
    from tfkd.volumes import open_ct, writing_dicom_seg, writing_slices

    model = f"{config.model.name}, SHA-256 {predictor.contract.sha256}"
    seg = functools.partial(writing_dicom_seg, label_names=predictor.label_names, model=model)
    with working_on(name_of(ct), ct), progress_bar(title) as progress:
        return predict_file(
            predictor,
            open_ct(ct, identity_affine=config.identity_affine),
            out,
            probabilities=config.probabilities,
            progress=progress,
            mask_writer=seg if config.format == "dicom-seg" else writing_slices,
        )
