"""Records of the reference protocol: one target, in the slices that hold it."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from tfkd.errors import RecordError
from tfkd.records import Manifest, SplitPlan, find_source, load, prepare
from tfkd.records.augmentation import AUGMENTATIONS
from tfkd.volumes import REFERENCE, WHOLE_VOLUME, PreprocessSpec

SPEC = PreprocessSpec(size=(24, 24), fit="center", field_size=(32, 32))
SPLIT = SplitPlan(train=["0", "1"], validation=["2"], test=["10"])


@pytest.fixture(scope="module")
def organ(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reference") / "organ"
    source = find_source(cohort).for_target("organ")
    prepare(source, folder, SPEC, split=SPLIT, protocol=REFERENCE)
    return folder


def test_the_manifest_names_protocol_and_target(organ: Path, records: Path, tmp_path: Path) -> None:
    manifest = Manifest.load(organ)
    assert manifest.protocol is REFERENCE
    assert (manifest.label_names, manifest.target_labels) == (("background", "liver"), (1, 2))
    assert manifest.slices_per_label("train") == {"liver": 18}
    assert manifest.case_files("test")[0].target_labels == (1, 2)
    manifest.save(tmp_path)
    assert Manifest.load(tmp_path) == manifest
    assert Manifest.load(records).protocol is WHOLE_VOLUME
    path = tmp_path / "manifest.json"
    path.write_text(path.read_text().replace('"reference"', '"other"'))
    with pytest.raises(RecordError, match=r"manifest\.json: not a complete manifest.*other"):
        Manifest.load(tmp_path)


def test_records_of_before_are_of_whole_volumes(records: Path, tmp_path: Path) -> None:
    facts = json.loads((records / "manifest.json").read_text())
    for later in ("protocol", "target_labels", "ignored_label", "left_out"):
        del facts[later]
    for case in facts["cases"]:
        for later in ("ignored", "voxels_per_label", "ignored_voxels"):
            del case[later]
    (tmp_path / "manifest.json").write_text(json.dumps(facts))
    loaded, now = Manifest.load(tmp_path), Manifest.load(records)
    cases = tuple(dataclasses.replace(case, voxels_per_label=()) for case in now.cases)
    assert loaded == dataclasses.replace(now, cases=cases)
    assert [count.voxels for count in loaded.label_counts("train")] == [None, None]
    assert [count.cases for count in loaded.label_counts("train")] == [2, 2]


def test_a_tumour_alone_can_be_the_target(cohort: Path, tmp_path: Path) -> None:
    source = find_source(cohort).for_target("tumour")
    manifest = prepare(source, tmp_path / "out", SPEC, split=SPLIT)
    assert manifest.protocol is WHOLE_VOLUME
    assert (manifest.label_names, manifest.target_labels) == (("background", "tumour"), (2,))
    assert manifest.slices_per_label("train") == {"tumour": 4}
    assert {int(e.mask.max()) for e in load(tmp_path / "out").examples("train")} == {0, 1}


def test_only_slices_with_the_target_are_shown(organ: Path) -> None:
    data = load(organ, batch_size=4)
    assert data.steps_per_epoch == 18 // 4
    assert data.training.augmentation == AUGMENTATIONS["symmetric"]
    for _, mask in data.train:
        assert (mask.numpy() == 1).any(axis=(1, 2)).all()
    for dataset in (data.validation, data.test):
        masks = np.concatenate([mask for _, mask in dataset.as_numpy_iterator()])
        assert len(masks) == 9
        assert (masks == 1).any(axis=(1, 2)).all()
        assert dataset.cardinality() == 3
    assert len(list(data.examples("validation"))) == 16  # all are stored


def test_a_split_without_the_target_is_named(
    two_patients: Path, tmp_path: Path, patient, save_nifti
) -> None:
    save_nifti(two_patients / "segmentation-4.nii.gz", 0 * patient(4)[1])
    source = find_source(two_patients).for_target("organ")
    prepare(source, tmp_path / "out", SPEC, split=SplitPlan(["4"], 0), protocol=REFERENCE)
    with pytest.raises(RecordError, match="slices with liver in split validation"):
        _ = load(tmp_path / "out").validation


def test_a_target_is_needed_and_must_be_one(
    cohort: Path, tmp_path: Path, shared_data: Path
) -> None:
    with pytest.raises(RecordError, match=r"protocol reference: expected one target.*--target"):
        prepare(cohort, tmp_path / "out", SPEC, split=SPLIT, protocol=REFERENCE)
    with pytest.raises(RecordError, match="target: expected one of organ, tumour"):
        find_source(cohort).for_target("vessel")  # type: ignore[arg-type]
    abdomen = find_source(shared_data / "Dataset901_AbdomenCT")
    with pytest.raises(RecordError, match="labels of background, organ and tumour"):
        abdomen.for_target("organ")


def test_the_default_preprocessing_is_that_of_the_protocol(cohort: Path, tmp_path: Path) -> None:
    source = find_source(cohort).for_target("tumour")
    split = SplitPlan(train=["0"], validation=0, test=0)
    with pytest.raises(RecordError, match="one of whole_volume, reference, received 'ref'"):
        prepare(source, tmp_path / "out", split=split, protocol="ref")
    manifest = prepare(source, tmp_path / "out", split=split, protocol="reference")
    assert manifest.protocol is REFERENCE
    assert manifest.spec == PreprocessSpec(
        window_hu=(-60, 140), size=(384, 384), fit="center", field_size=(512, 512)
    )
