"""`tfkd predict`: CTs to their masks, without TensorFlow."""

import functools
import sys
from collections.abc import Sequence
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
from tfkd.cli.predict_summary import PredictSummary
from tfkd.cli.progress import progress_bar
from tfkd.errors import GeometryError, TfkdError

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
        "CTs: .nii or .nii.gz files, folders of a DICOM series, or folders of many; one or several"
    )
    out: Path | None = option(
        "for one CT the mask to write, by default the CT's name with _mask; for several, or where "
        "it is a folder, the folder of the masks, in which those that are there already are left "
        "alone; one CT that fails does not stop the others, but the exit status is then 1",
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
        "axis codes, such as LAS, for a CT whose affine is the identity and so tells nothing",
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
    from tfkd.volumes import find_cts

    if config.summary is not None:
        check_suffix(config.summary, ".json")
    cts = [ct for path in config.ct for ct in find_cts(path)]
    if cts == list(config.ct) and len(cts) == 1 and not (config.out and config.out.is_dir()):
        _run_one(config, cts[0])
    else:
        _run_all(config, cts)


def _run_one(config: Config, ct: Path) -> None:
    out = config.out or ct.with_name(f"{_stem(ct)}_mask{config.suffix}")
    check_suffix(out, *((".dcm",) if config.format == "dicom-seg" else (".nii", ".nii.gz")))
    _check_is_no_ct(out, [ct])
    if out.exists() and not config.overwrite:
        raise ConfigError(f"{out}: the mask is there already. Pass --overwrite to replace it.")
    predictor = _predictor(config)
    summary = PredictSummary(config.summary, predictor)
    prediction = _predict(config, predictor, ct, out, "predict")
    write_config(config, "predict", config_path(out))
    summary.add(ct, "done", prediction=prediction)
    for name, volume_ml in prediction.volumes_ml.items():
        print(f"{name}: {volume_ml:.1f} mL")
    print(out)


def _run_all(config: Config, cts: Sequence[Path]) -> None:
    folder = config.out
    if folder is None or folder.is_file():
        raise ConfigError(
            f"expected a folder for the masks of {len(cts)} CTs, -o FOLDER. Received {folder}."
        )
    masks = _mask_paths(cts, folder, config.suffix)
    if folder.is_dir() and not config.overwrite:
        check_same_settings(config, "predict", folder, free=_FREE)
    predictor = _predictor(config)
    summary = PredictSummary(config.summary, predictor, go_on=not config.overwrite)
    folder.mkdir(parents=True, exist_ok=True)
    write_config(config, "predict", config_path(folder))
    failed = []
    for number, (ct, mask) in enumerate(masks.items(), start=1):
        if mask.exists() and not config.overwrite:
            print(f"{ct}: skipped, {mask} is there already", flush=True)
            summary.add(ct, "skipped", mask=mask)
            continue
        try:
            title = f"predict {number} of {len(cts)}"
            prediction = _predict(config, predictor, ct, mask, title)
        except (TfkdError, ValueError, OSError, ImportError) as error:
            failed.append(ct)
            print(f"tfkd predict: {ct}: failed: {error}", file=sys.stderr, flush=True)
            summary.add(ct, "failed", mask=mask, error=str(error))
            continue
        summary.add(ct, "done", prediction=prediction)
        volumes = ", ".join(f"{name} {ml:.1f} mL" for name, ml in prediction.volumes_ml.items())
        print(f"{mask}: {volumes}", flush=True)
    if failed:
        raise GeometryError(
            f"{len(failed)} of {len(cts)} CTs failed: {', '.join(map(str, failed))}. The other "
            "masks are written; the same command tries these again."
        )


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
    with progress_bar(title) as progress:
        return predict_file(
            predictor,
            open_ct(ct, identity_affine=config.identity_affine),
            out,
            probabilities=config.probabilities,
            progress=progress,
            mask_writer=seg if config.format == "dicom-seg" else writing_slices,
        )


def _mask_paths(cts: Sequence[Path], folder: Path, suffix: str) -> dict[Path, Path]:
    """The mask of each CT, none of which may be another's or a CT."""
    masks: dict[Path, Path] = {}
    for ct in dict.fromkeys(cts):
        mask = folder / f"{_stem(ct)}_mask{suffix}"
        for other, taken in masks.items():
            if taken == mask:
                raise ConfigError(
                    f"{ct} and {other} would have the same mask, {mask}. Segment them into "
                    "folders of their own."
                )
        _check_is_no_ct(mask, cts)
        masks[ct] = mask
    return masks


def _check_is_no_ct(mask: Path, cts: Sequence[Path]) -> None:
    """Raises before a mask would replace a CT, which --overwrite is not meant to allow."""
    if mask.resolve() in [ct.resolve() for ct in cts]:
        raise ConfigError(f"{mask}: expected a place for a mask, received one of the CTs.")


def _stem(ct: Path) -> str:
    return ct.resolve().name.removesuffix(".gz").removesuffix(".nii")
