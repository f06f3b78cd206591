import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tfkd.errors import RecordError
from tfkd.records import Manifest
from tfkd.records.manifest import MANIFEST_NAME, CaseRecord


def edit(folder: Path, **changes: object) -> None:
    path = folder / MANIFEST_NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.fixture
def folder(records: Path, tmp_path: Path) -> Path:
    """A copy of the manifest alone, to damage."""
    shutil.copy(records / MANIFEST_NAME, tmp_path)
    return tmp_path


def test_runs_expand_to_slices() -> None:
    runs = ((2, ()), (3, (1,)), (1, (1, 2)))
    case = CaseRecord("a", "a", "i", "m", "", "", (6, 9, 9), (1.0, 1.0, 1.0), runs)
    assert case.slices == 6
    assert case.labels_per_slice == ((), (), (1,), (1,), (1,), (1, 2))
    assert [case.slices_with(label) for label in (1, 2, 3)] == [4, 1, 0]


def test_save_and_load_give_the_same(records: Path, tmp_path: Path) -> None:
    manifest = Manifest.load(records)
    manifest.save(tmp_path)
    assert Manifest.load(tmp_path) == manifest
    assert Manifest.load(tmp_path / MANIFEST_NAME) == manifest
    assert (tmp_path / MANIFEST_NAME).read_bytes() == (records / MANIFEST_NAME).read_bytes()


def test_it_knows_splits_slices_and_classes(records: Path) -> None:
    manifest = Manifest.load(records)
    assert manifest.splits["train"] == ("volume-0", "volume-1")
    assert manifest.slices_of("train") == 32
    assert manifest.slices_per_label("train") == {"liver": 18, "tumour": 4}
    assert manifest.num_classes == 3
    assert manifest.case("10").case_id == "volume-10"
    case = manifest.case("volume-2")
    assert case.shape == (16, 48, 48)
    assert case.spacing_mm == (3.0, 1.5, 1.5)
    assert case.presence_runs == ((4, ()), (3, (1,)), (2, (1, 2)), (4, (1,)), (3, ()))


def test_case_files_lead_back_to_the_volumes(records: Path, cohort: Path, tmp_path: Path) -> None:
    manifest = Manifest.load(records)
    (case,) = manifest.case_files("test", verify=True)
    assert (case.case_id, case.image) == ("volume-10", cohort / "volume-10.nii.gz")
    assert case.mask == cohort / "segmentation-10.nii.gz"
    with pytest.raises(RecordError, match=r"case volume-10: .*gone.*--source\)"):
        manifest.case_files("test", tmp_path)
    shutil.copy(cohort / "volume-10.nii.gz", tmp_path)
    shutil.copy(cohort / "volume-10.nii.gz", tmp_path / "segmentation-10.nii.gz")
    assert manifest.case_files("test", tmp_path)[0].image.parent == tmp_path
    with pytest.raises(RecordError, match=r"segmentation-10\.nii\.gz is no longer the file"):
        manifest.case_files("test", tmp_path, verify=True)


def test_an_empty_or_unknown_split_is_an_error(records: Path) -> None:
    manifest = Manifest.load(records)
    splits = manifest.splits | {"test": ()}
    with pytest.raises(RecordError, match="split test of lits17 is empty"):
        dataclasses.replace(manifest, splits=splits).cases_of("test")
    with pytest.raises(RecordError, match="received 'dev'"):
        manifest.cases_of("dev")


def test_missing_foreign_or_incomplete_manifests_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"manifest\.json is missing.*interrupted"):
        Manifest.load(tmp_path / "nowhere")
    edit(folder, schema_version=99)
    with pytest.raises(RecordError, match="expected schema version 1, received 99"):
        Manifest.load(folder)
    edit(folder, schema_version=1, shards=[{"file": "x"}])
    with pytest.raises(RecordError, match="not a complete manifest"):
        Manifest.load(folder)
    (folder / MANIFEST_NAME).write_text("[]")
    with pytest.raises(RecordError, match="received a list"):
        Manifest.load(folder)
    (folder / MANIFEST_NAME).write_text("{")
    with pytest.raises(RecordError, match="expected JSON"):
        Manifest.load(folder)


def test_contradictions_are_refused(folder: Path) -> None:
    splits = json.loads((folder / MANIFEST_NAME).read_text())["splits"]
    edit(folder, splits=splits | {"test": []})
    with pytest.raises(RecordError, match="every case in exactly one split"):
        Manifest.load(folder)
    shards = json.loads((folder / MANIFEST_NAME).read_text())["shards"]
    edit(folder, splits=splits, shards=[shards[0] | {"records": 3}])
    with pytest.raises(RecordError, match="differ in their number of slices"):
        Manifest.load(folder)


def test_a_patient_in_two_splits_is_refused(folder: Path) -> None:
    cases = json.loads((folder / MANIFEST_NAME).read_text())["cases"]
    edit(folder, cases=[case | {"patient_id": "same"} for case in cases])
    with pytest.raises(RecordError, match="patient same is in both train and validation"):
        Manifest.load(folder)


def test_reading_a_manifest_imports_no_tensorflow(records: Path) -> None:
    code = (
        "import sys; from tfkd.records import Manifest, find_source, split_patients;"
        f"Manifest.load({str(records)!r}).case_files('test');"
        "sys.exit(bool({'tensorflow', 'keras'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_folds_hold_every_training_case_once(records: Path) -> None:
    manifest = Manifest.load(records)
    assert manifest.folds(2) == (("volume-0",), ("volume-1",))
    for wrong in (1, 3):
        with pytest.raises(RecordError, match=f"folds: expected 2 up to the 2 .* {wrong}"):
            manifest.folds(wrong)


def test_folds_do_not_divide_patients(records: Path) -> None:
    manifest = Manifest.load(records)
    cases = [dataclasses.replace(case, patient_id="same") for case in manifest.cases]
    cases[2] = dataclasses.replace(cases[2], patient_id="other")
    splits = {"train": tuple(case.case_id for case in cases), "validation": (), "test": ()}
    joined = dataclasses.replace(manifest, cases=tuple(cases), splits=splits)
    assert joined.folds(2) == (
        tuple(case.case_id for case in cases if case.patient_id == "same"),
        (cases[2].case_id,),
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"splits": {"train": [["volume-0"]], "validation": [], "test": []}}, "'train': expected"),
        ({"source_root": None}, "'source_root': expected str, received null"),
        ({"label_names": ["background", ["liver"]]}, "'label_names': expected str"),
        ({"schema_version": True}, "expected schema version 1, received True"),
        ({"protocol": ["whole_volume"]}, "not a complete manifest"),
        ({"colour": 1}, "unknown entry 'colour'"),
    ],
)
def test_values_of_other_types_are_named(
    folder: Path, changes: dict[str, object], message: str
) -> None:
    edit(folder, **changes)
    with pytest.raises(RecordError, match=rf"manifest\.json: .*{message}"):
        Manifest.load(folder)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("image", None, "'cases': 'image': expected str, received null"),
        ("spacing_mm", [3.0, 0.0, 1.5], r"case volume-0: .*the spacing \(3.0, 0.0, 1.5\) mm"),
        ("spacing_mm", [3.0, float("inf"), 1.5], "Infinity is no JSON number"),
        ("presence_runs", [[16, [7]]], r"case volume-0: .*Received the labels \[7\]"),
        ("voxels_per_label", [5], r"case volume-0: .*counts of \(5,\)"),
    ],
)
def test_impossible_values_of_a_case_are_named(
    folder: Path, key: str, value: object, message: str
) -> None:
    cases = json.loads((folder / MANIFEST_NAME).read_text())["cases"]
    cases[0][key] = value
    edit(folder, cases=cases)
    with pytest.raises(RecordError, match=message):
        Manifest.load(folder)


def test_a_shard_of_unknown_cases_or_elsewhere_is_refused(folder: Path) -> None:
    shards = json.loads((folder / MANIFEST_NAME).read_text())["shards"]
    for key, value in (("case_ids", ["volume-9"]), ("file", "../x"), ("split", "dev")):
        edit(folder, shards=[shards[0] | {key: value}, *shards[1:]])
        with pytest.raises(RecordError, match=r"shard .* of the split .* Prepare again"):
            Manifest.load(folder)


def test_a_missing_entry_of_the_spec_is_not_guessed(folder: Path) -> None:
    spec = json.loads((folder / MANIFEST_NAME).read_text())["spec"]
    for name in spec:
        edit(folder, spec={key: value for key, value in spec.items() if key != name})
        with pytest.raises(RecordError, match=rf"manifest\.json.*'spec': the entry '{name}' is m"):
            Manifest.load(folder)
