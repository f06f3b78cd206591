"""`tfkd predict`: one CT or many, going on, failures, summary, post-processing, DICOM."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import tfkd
from tfkd.cli.main import main
from tfkd.inference import Contract, Postprocessing, contract_path
from tfkd.volumes import NiftiSlices, sha256_of

Fail = Callable[..., str]


def _labels(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj)


@pytest.fixture
def scans(cohort: Path, tmp_path: Path) -> Path:
    """A folder of three CTs."""
    folder = tmp_path / "scans"
    folder.mkdir()
    for number in range(3):
        shutil.copy(cohort / f"volume-{number}.nii.gz", folder / f"ct{number}.nii.gz")
    return folder


def _run(*words: str | Path) -> int:
    return main(["predict", *map(str, words)])


def test_a_folder_of_cts_with_one_load(exported: Path, scans: Path, tmp_path: Path, capsys) -> None:
    masks = tmp_path / "masks"
    assert _run(exported, scans, "-o", masks, "--summary", tmp_path / "s.json") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        str(masks / f"ct{number}_mask.nii.gz") for number in range(3)
    ]
    assert _run(exported, scans / "ct1.nii.gz", "-o", tmp_path / "alone.nii.gz") == 0
    np.testing.assert_array_equal(
        _labels(masks / "ct1_mask.nii.gz"), _labels(tmp_path / "alone.nii.gz")
    )
    summary = json.loads((tmp_path / "s.json").read_text())
    assert summary["model"]["sha256"] == sha256_of(exported)
    assert summary["versions"]["tfkd"] == tfkd.__version__
    assert [case["status"] for case in summary["cases"]] == ["done"] * 3
    case = summary["cases"][1]
    voxel_ml = 1.5 * 1.5 * 3.0 / 1000
    expected = (_labels(tmp_path / "alone.nii.gz") == 1).sum() * voxel_ml
    assert case["volumes_ml"]["liver"] == pytest.approx(expected)
    assert (case["case_id"], case["slices"], case["shape_zyx"]) == ("ct1", 8, [8, 32, 32])
    assert case["seconds"] > 0


def test_several_paths_and_an_existing_folder(exported: Path, scans: Path, tmp_path: Path) -> None:
    masks = tmp_path / "masks"
    assert _run(exported, scans / "ct0.nii.gz", scans / "ct2.nii.gz", "-o", masks) == 0
    assert {path.name for path in masks.iterdir()} == {
        "config.toml",
        "ct0_mask.nii.gz",
        "ct2_mask.nii.gz",
    }
    assert _run(exported, scans / "ct1.nii.gz", "-o", masks) == 0
    assert (masks / "ct1_mask.nii.gz").exists()


def test_a_failed_ct_does_not_stop_the_others_and_is_tried_again(
    exported: Path, scans: Path, tmp_path: Path, capsys
) -> None:
    masks, summary = tmp_path / "masks", tmp_path / "s.json"
    whole = (scans / "ct1.nii.gz").read_bytes()
    (scans / "ct1.nii.gz").write_bytes(whole[:-400])
    words = (exported, scans, "-o", masks, "--summary", summary)
    assert _run(*words) == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("tfkd")]
    assert len(errors) == 2
    assert "ct1.nii.gz: failed: Case 'ct1'" in errors[0]
    assert "cut short" in errors[0]
    assert errors[1].startswith("tfkd predict: error: 1 of 3 CTs failed: ")
    assert not (masks / "ct1_mask.nii.gz").exists()
    first = json.loads(summary.read_text())["cases"]
    assert [case["status"] for case in first] == ["done", "failed", "done"]
    assert "cut short" in first[1]["error"]

    (scans / "ct1.nii.gz").write_bytes(whole)
    before = (masks / "ct0_mask.nii.gz").stat().st_mtime_ns
    assert _run(*words) == 0
    assert f"{scans / 'ct0.nii.gz'}: skipped, " in capsys.readouterr().out
    assert (masks / "ct0_mask.nii.gz").stat().st_mtime_ns == before
    second = json.loads(summary.read_text())["cases"]
    assert [case["status"] for case in second] == ["done"] * 3
    assert second[0] == first[0]
    assert _run("--config", masks / "config.toml") == 0  # with the list of CTs in it
    assert _run(*words, "--overwrite") == 0
    assert (masks / "ct0_mask.nii.gz").stat().st_mtime_ns > before


def test_going_on_with_other_settings_is_refused(
    exported: Path, scans: Path, tmp_path: Path, fail: Fail, own_export: Path
) -> None:
    masks, summary = tmp_path / "masks", tmp_path / "s.json"
    assert _run(exported, scans, "-o", masks, "--summary", summary) == 0
    fail(["predict", own_export, scans, "-o", masks], masks, "other settings: model")
    fail(["predict", exported, scans, "-o", masks, "--flips"], "flips False, not True")
    document = json.loads(summary.read_text())
    document["model"]["sha256"] = "0" * 64
    summary.write_text(json.dumps(document))
    words = ["predict", exported, scans, "-o", masks, "--summary", summary]
    fail(words, summary, "same model")
    summary.write_text("[]")
    fail(words, summary, "summary of an earlier call")


def test_what_cannot_be_is_refused_before_any_work(
    exported: Path, scans: Path, tmp_path: Path, fail: Fail
) -> None:
    fail(["predict", exported, scans], "folder for the masks of 3 CTs, -o FOLDER")
    nib.save(nib.load(scans / "ct0.nii.gz"), scans / "ct0.nii")
    fail(["predict", exported, scans, "-o", tmp_path / "masks"], "have the same mask", "ct0_mask")
    (scans / "ct0.nii").unlink()
    fail(["predict", exported, scans / "ct0.nii.gz", "--summary", "s.txt"], "ends in .json")
    words = ["predict", exported, scans / "ct0.nii.gz", "--format", "dicom-seg"]
    fail([*words, "-o", tmp_path / "m.nii.gz"], "ends in .dcm")
    (tmp_path / "empty").mkdir()
    fail(["predict", exported, tmp_path / "empty", "-o", tmp_path / "masks"], "1 empty folder")
    assert not (tmp_path / "masks").exists()


def test_nothing_on_the_list_is_lost(
    exported: Path, cohort: Path, scans: Path, tmp_path: Path, capsys
) -> None:
    """A LiTS17 folder, KiTS19's, links into a store, a CT given twice and a folder without any."""
    for number in range(2):
        (tmp_path / "kits" / f"case_{number}").mkdir(parents=True)
        for name, kits in (("volume", "imaging"), ("segmentation", "segmentation")):
            target = tmp_path / "kits" / f"case_{number}" / f"{kits}.nii.gz"
            shutil.copy(cohort / f"{name}-{number}.nii.gz", target)
    shutil.copy(cohort / "segmentation-2.nii.gz", scans)
    (scans / "ct1.nii.gz").rename(tmp_path / "9f86d081")
    (scans / "sub-01.nii.gz").symlink_to("../9f86d081")
    (scans / "Ct2.NII.GZ").symlink_to("ct2.nii.gz")
    (scans / "Ct2.NII.GZ").rename(scans / "CT3.NII.GZ")
    (tmp_path / "none").mkdir()
    masks, summary = tmp_path / "masks", tmp_path / "s.json"
    words = (scans, scans / "ct2.nii.gz", tmp_path / "none", tmp_path / "kits", "-o", masks)
    assert _run(exported, *words, "--summary", summary) == 1
    names = ("CT3", "ct0", "ct2", "sub-01", "case_0_imaging", "case_1_imaging")
    assert {path.name for path in masks.iterdir()} == {
        "config.toml",
        *(f"{name}_mask.nii.gz" for name in names),
    }
    said = capsys.readouterr().err
    twice = scans / "ct2.nii.gz"
    assert f"tfkd predict: left out: 1 CT that was given twice ({twice})\n" in said
    assert "tfkd predict: left out: 3 masks (" in said
    assert f"tfkd predict: {tmp_path / 'none'}: failed: " in said
    assert "error: 1 of 7 CTs failed: " in said
    document = json.loads(summary.read_text())
    assert {(Path(left["path"]).name, left["reason"]) for left in document["left_out"]} == {
        ("segmentation-2.nii.gz", "mask"),
        ("segmentation.nii.gz", "mask"),
        ("ct2.nii.gz", "CT that was given twice"),
        ("none", "empty folder"),
    }
    assert [case["status"] for case in document["cases"]] == ["failed", *["done"] * 6]
    assert "1 empty folder" in document["cases"][0]["error"]


def test_a_mask_of_another_ct_of_that_name_is_not_taken_for_its_own(
    exported: Path, scans: Path, tmp_path: Path, capsys
) -> None:
    image = nib.load(scans / "ct1.nii.gz")
    (tmp_path / "p2").mkdir()
    nib.save(image.slicer[:, :, 2:], tmp_path / "p2" / "ct0.nii.gz")
    masks = tmp_path / "masks"
    assert _run(exported, scans, "-o", masks) == 0
    before = (masks / "ct0_mask.nii.gz").read_bytes()
    assert _run(exported, tmp_path / "p2", "-o", masks) == 1
    assert "ct0.nii.gz: failed: " in (said := capsys.readouterr().err)
    assert "another CT of the same name" in said
    assert (masks / "ct0_mask.nii.gz").read_bytes() == before


def test_masks_alone_are_refused(exported: Path, cohort: Path, fail: Fail) -> None:
    mask = cohort / "segmentation-0.nii.gz"
    fail(["predict", exported, mask], mask, "expected a CT", "Received 1 mask")


@pytest.mark.parametrize("kind", [KeyError, AttributeError, RuntimeError, MemoryError])
def test_whatever_one_ct_raises_the_others_are_done(
    exported: Path, scans: Path, tmp_path: Path, capsys, monkeypatch, kind: type[Exception]
) -> None:
    read = NiftiSlices.__iter__

    def fails(self: NiftiSlices):
        if self.case_id == "ct1":
            raise kind("")
        return read(self)

    monkeypatch.setattr(NiftiSlices, "__iter__", fails)
    monkeypatch.chdir(tmp_path)
    masks, summary = tmp_path / "masks", tmp_path / "s.json"
    assert _run(exported, scans, "-o", masks, "--summary", summary) == 1
    assert (masks / "ct2_mask.nii.gz").exists()
    assert not (masks / "ct1_mask.nii.gz").exists()
    out = capsys.readouterr().err
    (line,) = [line for line in out.splitlines() if "failed: " in line and "CTs" not in line]
    assert str(scans / "ct1.nii.gz") in line
    assert "Traceback" not in out
    case = json.loads(summary.read_text())["cases"][1]
    assert (case["status"], case["error"]) == ("failed", line.partition("failed: ")[2])
    logs = list(tmp_path.glob("tfkd_predict_error_*.log"))
    assert len(logs) == (kind is not MemoryError)
    assert all(f"{kind.__name__}" in log.read_text() and log.name in line for log in logs)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_name_that_is_not_valid_text(exported: Path, scans: Path, tmp_path: Path) -> None:
    ct = scans / os.fsdecode(b"J\xfcrgen.nii.gz")
    (scans / "ct1.nii.gz").rename(ct)
    masks, summary = tmp_path / "masks", tmp_path / "s.json"
    for _ in range(2):
        assert _run(exported, scans, "-o", masks, "--summary", summary) == 0
        assert str(ct) in [case["ct"] for case in json.loads(summary.read_text())["cases"]]
    assert (masks / os.fsdecode(b"J\xfcrgen_mask.nii.gz")).exists()


def test_a_failure_of_the_only_ct_is_in_the_summary(
    exported: Path, scans: Path, tmp_path: Path, fail: Fail
) -> None:
    ct, summary = scans / "ct1.nii.gz", tmp_path / "s.json"
    ct.write_bytes(ct.read_bytes()[:-400])
    fail(["predict", exported, ct, "-o", tmp_path / "m.nii.gz", "--summary", summary], "cut short")
    (case,) = json.loads(summary.read_text())["cases"]
    assert (case["status"], "cut short" in case["error"]) == ("failed", True)


def test_the_folder_where_one_is(exported: Path, scans: Path, monkeypatch) -> None:
    pytest.importorskip("pydicom", reason="the extra tfkd[dicom] is not installed")
    from tests.volumes.dicom_files import write_series

    write_series(scans / "series", np.zeros((2, 32, 32), np.int16), pixel_mm=(1.5, 1.5))
    monkeypatch.chdir(scans / "series")
    assert _run(exported, ".") == 0
    assert (scans / "series_mask.nii.gz").exists()


def test_a_ct_is_never_overwritten(exported: Path, scans: Path, fail: Fail) -> None:
    before = {path.name: path.read_bytes() for path in scans.iterdir()}
    ct = scans / "ct0.nii.gz"
    said = "expected a place for a mask, received one of the CTs"
    fail(["predict", exported, ct, "-o", ct, "--overwrite"], said)
    (scans / "ct1.nii.gz").rename(scans / "ct0_mask.nii.gz")
    words = [ct, scans / "ct0_mask.nii.gz", "-o", scans, "--overwrite"]
    fail(["predict", exported, *words], said)
    after = {path.name: path.read_bytes() for path in scans.iterdir()}
    assert sorted(after.values()) == sorted(before.values())


def test_probabilities_and_flips(exported: Path, scans: Path, tmp_path: Path) -> None:
    words = (exported, scans / "ct0.nii.gz", "-o", tmp_path / "m.nii.gz")
    assert _run(*words, "--probabilities", "--flips", "--threads", "2") == 0
    liver, tumour = (
        nib.load(tmp_path / f"m_p{label}_{name}.nii.gz").get_fdata()
        for label, name in ((1, "liver"), (2, "tumour"))
    )
    mask = _labels(tmp_path / "m.nii.gz")
    assert (liver[mask == 1] >= tumour[mask == 1]).all()
    assert ((liver + tumour) <= 1.0002).all()


def test_the_contracts_postprocessing_is_obeyed(
    own_export: Path, scans: Path, tmp_path: Path
) -> None:
    path = contract_path(own_export)
    contract = Contract.load(own_export)
    object.__setattr__(contract, "postprocessing", Postprocessing(("liver",)))
    contract.save(path)
    ct = scans / "ct0.nii.gz"
    image = nib.load(ct)
    voxels = np.asarray(image.dataobj).copy()
    voxels[1:4, 1:4, 3] = 60  # liver by its grey value, apart from the liver
    nib.save(nib.Nifti1Image(voxels, image.affine), ct)
    assert _run(own_export, ct, "-o", tmp_path / "cleaned.nii.gz") == 0
    words = (own_export, ct, "-o", tmp_path / "raw.nii.gz", "--no-postprocessing")
    assert _run(*words) == 0
    raw, cleaned = _labels(tmp_path / "raw.nii.gz"), _labels(tmp_path / "cleaned.nii.gz")
    assert raw[2, 2, 3] == 1
    assert cleaned[2, 2, 3] == 0
    assert (cleaned != raw).sum() < 30
    assert (cleaned == 1).any()


def test_a_dicom_series(exported: Path, scans: Path, tmp_path: Path) -> None:
    pytest.importorskip("pydicom", reason="the extra tfkd[dicom] is not installed")
    from tests.volumes.dicom_files import write_series

    image = nib.load(scans / "ct0.nii.gz")
    hu = np.asarray(image.dataobj).transpose(2, 1, 0)
    write_series(
        tmp_path / "series", hu, first_mm=(0.0, 0.0, 0.0), pixel_mm=(1.5, 1.5), step_mm=3.0
    )
    assert _run(exported, tmp_path / "series") == 0
    assert _run(exported, scans / "ct0.nii.gz", "-o", tmp_path / "nifti.nii.gz") == 0
    mask, expected = nib.load(tmp_path / "series_mask.nii.gz"), nib.load(tmp_path / "nifti.nii.gz")
    np.testing.assert_allclose(mask.affine, expected.affine, atol=1e-5)
    np.testing.assert_array_equal(np.asarray(mask.dataobj), np.asarray(expected.dataobj))
    pytest.importorskip("highdicom", reason="the extra tfkd[dicom] is not installed")
    assert _run(exported, tmp_path / "series", "--format", "dicom-seg") == 0
    assert (tmp_path / "series_mask.dcm").exists()


def test_the_exit_status_is_in_the_help(capsys) -> None:
    with pytest.raises(SystemExit):
        main(["predict", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "exit status: 0 done; 1 an error, also if only some of several inputs failed" in text
