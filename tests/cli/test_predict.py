"""`tfkd predict`: one CT or many, going on, failures, summary, post-processing, DICOM."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import tfkd
from tfkd.cli.main import main
from tfkd.inference import Contract, Postprocessing, contract_path
from tfkd.volumes import sha256_of

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
    (scans / "deep").mkdir()
    shutil.copy(scans / "ct0.nii.gz", scans / "deep" / "ct0.nii.gz")
    words = ["predict", exported, scans / "ct0.nii.gz", scans / "deep" / "ct0.nii.gz"]
    fail([*words, "-o", tmp_path / "masks"], "would have the same mask", "ct0_mask.nii.gz")
    fail(["predict", exported, scans / "ct0.nii.gz", "--summary", "s.txt"], "ends in .json")
    words = ["predict", exported, scans / "ct0.nii.gz", "--format", "dicom-seg"]
    fail([*words, "-o", tmp_path / "m.nii.gz"], "ends in .dcm")
    (tmp_path / "empty").mkdir()
    fail(["predict", exported, tmp_path / "empty", "-o", tmp_path / "masks"], "an empty folder")
    assert not (tmp_path / "masks").exists()


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
