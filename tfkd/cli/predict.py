"""`tfkd predict`: a CT to its mask, without TensorFlow."""

from dataclasses import dataclass
from pathlib import Path

from tfkd.cli.config import ConfigError, check_suffix, config_path, option, write_config
from tfkd.cli.progress import progress_bar

SUMMARY = "Segment a CT with an exported model; needs no TensorFlow."
EXAMPLE = "tfkd predict student.tflite ct.nii.gz -o mask.nii.gz"


@dataclass(frozen=True)
class Config:
    """Settings of `tfkd predict`."""

    model: Path = option("model file, .tflite, with its contract beside it")
    ct: Path = option("CT volume, .nii or .nii.gz")
    out: Path | None = option(
        "mask to write, .nii or .nii.gz; CT's name with _mask when left out",
        flag="-o",
        default=None,
    )
    identity_affine: str | None = option(
        "axis codes, such as LAS, for a CT whose affine is the identity and so tells nothing",
        default=None,
    )
    threads: int | None = option("threads; all cores when left out", default=None)
    overwrite: bool = option("replace the mask if it is there", default=False)


def run(config: Config) -> None:
    """Segments and says how much of each label there is."""
    from tfkd.inference import Predictor
    from tfkd.volumes import read_volume, write_volume

    out = config.out or _default_out(config.ct)
    check_suffix(out, ".nii", ".nii.gz")
    if out.exists() and not config.overwrite:
        raise ConfigError(f"{out}: the mask is there already. Pass --overwrite to replace it.")
    predictor = Predictor(config.model, threads=config.threads)
    volume = read_volume(config.ct, identity_affine=config.identity_affine)
    with progress_bar("predict") as progress:
        mask = predictor(volume, progress=progress)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_volume(mask, out)
    write_config(config, "predict", config_path(out))
    for label, name in enumerate(predictor.label_names[1:], start=1):
        voxels = int((mask.array == label).sum())
        print(f"{name}: {voxels * mask.voxel_volume_ml:.1f} mL")
    print(out)


def _default_out(ct: Path) -> Path:
    stem = ct.name.removesuffix(".gz").removesuffix(".nii")
    return ct.with_name(f"{stem}_mask.nii.gz")
