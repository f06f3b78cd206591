"""`tfkd prepare`: CT volumes to records."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tfkd.cli.config import DependentDefaults, config_path, option, write_config
from tfkd.cli.progress import progress_bar
from tfkd.cli.tensorflow_start import start_tensorflow
from tfkd.report.text import columns
from tfkd.volumes import PROTOCOLS, WHOLE_VOLUME

if TYPE_CHECKING:
    from tfkd.records import Manifest, Source

SUMMARY = "Write CT volumes and masks as TFRecords of slices, split by patient."
EXAMPLE = "tfkd prepare data/lits17 records/lits --size 256 256 --workers 4"


@dataclass(frozen=True)
class Config(DependentDefaults):
    """Settings of `tfkd prepare`."""

    source: Path = option("folder of CT volumes and masks")
    out: Path = option("folder of records to make; must be new or empty")
    layout: Literal["auto", "lits17", "kits19", "nnunet"] = option(
        "how the source folder is laid out", default="auto"
    )
    protocol: Literal["whole_volume", "reference"] = option(
        "how to train and to score on these records: on every slice of whole volumes, or, for "
        "figures to be set beside those of Qin et al. 2021, on slices that hold the target",
        default="whole_volume",
    )
    target: Literal["organ", "tumour"] | None = option(
        "one target, of labels 0 background, 1 organ, 2 tumour: the organ with its tumours, or the "
        "tumours; --protocol reference needs one",
        default=None,
    )
    missing_masks: Literal["refuse", "keep"] = option(
        "a CT whose mask is missing: an error, or unlabelled CT that `tfkd distill` learns from",
        default="refuse",
    )
    unlabelled: Path | None = option(
        "folder of further CT without masks, for the training", default=None
    )
    size: tuple[int, int] = option(
        "rows and columns of a slice, pixels; 384 384 with --protocol reference",
        default=WHOLE_VOLUME.size,
    )
    fit: Literal["resize", "center"] = option(
        "whole field of view to that size, or its middle cut out or padded", default="resize"
    )
    spacing_mm: float | None = option(
        "with --fit center: resample to this pixel size first, mm", default=None
    )
    field_size: tuple[int, int] | None = option(
        "with --fit center: resample the whole field of view to these rows and columns first; with "
        "--protocol reference 4/3 of the size, that is 512 512",
        default=None,
    )
    window: tuple[float, float] | None = option(
        "HU window that is mapped to [-1, 1]; the source's preset when left out", default=None
    )
    context_slices: int = option("neighbouring slices on each side, as channels", default=0)
    validation: float | None = option(
        "share of patients for validation; when left out, the cases that dataset.json lists for "
        "it, or 0.2",
        default=None,
    )
    test: float | None = option("share of patients for the test; likewise", default=None)
    validation_cases: tuple[str, ...] = option("validation patients by name", default=())
    test_cases: tuple[str, ...] = option("test patients by name", default=())
    masks: float = option(
        "share of the training patients whose masks are used, above 0 to 1; the CT of the others "
        "are unlabelled, and `tfkd distill` alone learns from them",
        default=1.0,
    )
    mask_cases: tuple[str, ...] = option(
        "training patients whose masks are used, by name", default=()
    )
    identity_affine: str | None = option(
        "axis codes of CTs and masks that state no orientation, whose affine is the identity; LAS, "
        "as of the 3D-IRCADb cases of LiTS17 and MSD, when left out",
        default=None,
    )
    seed: int = option("seed of the split and of the masks", default=0)
    workers: int = option("processes", default=1)

    @classmethod
    def defaults_for(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Size and fit of the protocol."""
        protocol = PROTOCOLS[settings.get("protocol", WHOLE_VOLUME.name)]
        defaults: dict[str, Any] = {"size": protocol.size, "fit": protocol.fit}
        cut_out = settings.get("fit", protocol.fit) == "center" and "spacing_mm" not in settings
        if protocol.field_size is not None and cut_out:
            # The same part of the field of view, whatever the size.
            size = settings.get("size", protocol.size)
            sizes = zip(size, protocol.size, protocol.field_size, strict=True)
            defaults["field_size"] = tuple(round(own * whole / part) for own, part, whole in sizes)
        return defaults


def run(config: Config) -> None:
    """Prepares and says what was written."""
    start_tensorflow()
    from tfkd.records import SplitPlan, add_unlabelled, find_source, prepare
    from tfkd.volumes import PreprocessSpec

    source = find_source(config.source, config.layout, config.missing_masks)
    if config.unlabelled is not None:
        source = add_unlabelled(source, config.unlabelled)
    if config.target is not None:
        source = source.for_target(config.target)
    if config.identity_affine is not None:
        source = dataclasses.replace(source, identity_affine=config.identity_affine)
    spec = PreprocessSpec(
        window_hu=config.window or source.window_hu,
        size=config.size,
        fit=config.fit,
        spacing_mm=config.spacing_mm,
        context_slices=config.context_slices,
        field_size=config.field_size,
    )
    split = SplitPlan(
        validation=config.validation_cases or config.validation,
        test=config.test_cases or config.test,
        seed=config.seed,
        masks=config.mask_cases or config.masks,
    )
    with progress_bar("prepare") as progress:
        manifest = prepare(
            source,
            config.out,
            spec,
            split=split,
            workers=config.workers,
            protocol=config.protocol,
            progress=progress,
        )
    write_config(config, "prepare", config_path(config.out))
    _tell_lists(source, manifest)
    patients = ", ".join(f"{len(ids)} {split}" for split, ids in manifest.splits.items())
    slices = sum(case.slices for case in manifest.cases)
    print(f"{config.out}: {slices} slices of {', '.join(manifest.label_names)}; cases: {patients}")
    if unlabelled := manifest.unlabelled_slices_of("train"):
        print(f"{unlabelled} of {manifest.slices_of('train')} training slices have no labels")
    print(_label_table(manifest))


def _tell_lists(source: "Source", manifest: "Manifest") -> None:
    """Says what became of the validation and test cases that the source itself lists."""
    for split, listed in (("validation", source.validation_cases), ("test", source.test_cases)):
        if not listed:
            continue
        taken = set(listed) & set(manifest.splits[split])
        if len(taken) == len(listed) == len(manifest.splits[split]):
            print(f"{split}: what dataset.json lists under {split!r}, {len(listed)} case(s)")
        else:
            print(
                f"{split}: {len(manifest.splits[split])} case(s), as the settings want; "
                f"{len(taken)} of the {len(listed)} that dataset.json lists under {split!r}"
            )


def _label_table(manifest: "Manifest") -> str:
    """How much of each label is in each split: cases that hold it, voxels and millilitres."""
    splits = [split for split, ids in manifest.splits.items() if ids]
    rows = [["label"], *([name] for name in manifest.label_names[1:])]
    for split in splits:
        masked = sum(case.mask is not None for case in manifest.cases_of(split))
        rows[0] += [f"{split}: cases", "voxels", "mL"]
        for row, count in zip(rows[1:], manifest.label_counts(split), strict=True):
            row += [f"{count.cases}/{masked}", f"{count.voxels}", f"{count.volume_ml:.1f}"]
    ignored = {s: [c.ignored_voxels for c in manifest.cases_of(s)] for s in splits}
    if any(map(sum, ignored.values())):
        rows.append(["(no label)"])
        for voxels in ignored.values():
            rows[-1] += [f"{sum(map(bool, voxels))}/{len(voxels)}", f"{sum(voxels)}", ""]
    return columns(rows)
