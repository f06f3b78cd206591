from pathlib import Path

import pytest

from tfkd.errors import RecordError
from tfkd.records.layouts import find_kits19, find_lits17


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")


def lits(folder: Path, number: int, suffix: str = ".nii.gz") -> None:
    touch(folder / f"volume-{number}{suffix}")
    touch(folder / f"segmentation-{number}{suffix}")


def kits(folder: Path, number: int, names: tuple[str, ...] = ("imaging", "segmentation")) -> None:
    for name in names:
        touch(folder / f"case_{number:05d}" / f"{name}.nii.gz")


def test_lits_cases_come_in_numeric_order(tmp_path: Path) -> None:
    for number in (10, 2, 0):
        lits(tmp_path, number)
    source = find_lits17(tmp_path)
    assert [case.case_id for case in source.cases] == ["volume-0", "volume-2", "volume-10"]
    assert source.label_names == ("background", "liver", "tumour")
    assert source.window_hu == (-60.0, 140.0)
    assert source.identity_affine == "LAS"


def test_lits_training_batches_and_split_folders_are_found(tmp_path: Path) -> None:
    lits(tmp_path / "Training Batch 1", 3, ".nii")
    touch(tmp_path / "volumes" / "volume-28.nii")
    touch(tmp_path / "masks" / "segmentation-28.nii")
    touch(tmp_path / "test-volume-1.nii")
    source = find_lits17(tmp_path)
    assert [case.case_id for case in source.cases] == ["volume-3", "volume-28"]
    assert source.cases[1].mask == tmp_path / "masks" / "segmentation-28.nii"


@pytest.mark.parametrize(("gone", "what"), [("volume", "the CT"), ("segmentation", "the mask")])
def test_lits_missing_half_names_case_and_file(tmp_path: Path, gone: str, what: str) -> None:
    lits(tmp_path, 1)
    lits(tmp_path, 7)
    (tmp_path / f"{gone}-7.nii.gz").unlink()
    with pytest.raises(RecordError, match=rf"case volume-7: {what} is missing.*{gone}-7\.nii\.gz"):
        find_lits17(tmp_path)


def test_lits_volumes_without_mask_are_kept_if_told_so(tmp_path: Path) -> None:
    lits(tmp_path, 1)
    touch(tmp_path / "volume-7.nii.gz")
    assert [case.mask is None for case in find_lits17(tmp_path, True).cases] == [False, True]
    touch(tmp_path / "segmentation-8.nii.gz")  # a mask without CT is a mistake all the same
    with pytest.raises(RecordError, match="case volume-8: the CT is missing"):
        find_lits17(tmp_path, True)


def test_lits_twice_the_same_number_is_refused(tmp_path: Path) -> None:
    lits(tmp_path, 1)
    lits(tmp_path, 1, ".nii")
    with pytest.raises(RecordError, match="case volume-1: expected one volume file"):
        find_lits17(tmp_path)


@pytest.mark.parametrize("below", ["data", "."])
def test_kits_is_found_with_or_without_its_data_folder(tmp_path: Path, below: str) -> None:
    for number in (24, 3):
        kits(tmp_path / below, number)
    source = find_kits19(tmp_path)
    assert [case.case_id for case in source.cases] == ["case_00003", "case_00024"]
    assert source.cases[0].image.name == "imaging.nii.gz"
    assert source.label_names == ("background", "kidney", "tumour")


def test_kits_test_cases_without_mask_are_left_out_and_others_are_errors(tmp_path: Path) -> None:
    kits(tmp_path, 3)
    kits(tmp_path, 210, ("imaging",))
    assert [case.case_id for case in find_kits19(tmp_path).cases] == ["case_00003"]
    kits(tmp_path, 209, ("imaging",))
    with pytest.raises(RecordError, match=r"case_00209: the mask is missing.*segmentation\.nii"):
        find_kits19(tmp_path)


def test_kits_cases_without_mask_are_kept_if_told_so(tmp_path: Path) -> None:
    kits(tmp_path, 3)
    for number in (209, 210):
        kits(tmp_path, number, ("imaging",))
    cases = find_kits19(tmp_path, True).cases
    assert [(case.case_id, case.mask is None) for case in cases] == [
        ("case_00003", False),
        ("case_00209", True),
        ("case_00210", True),
    ]
    kits(tmp_path, 211, ())
    (tmp_path / "case_00211").mkdir()
    with pytest.raises(RecordError, match="case_00211: the CT is missing"):
        find_kits19(tmp_path, True)


def test_kits_without_downloaded_images_names_the_file(tmp_path: Path) -> None:
    kits(tmp_path, 5, ("segmentation",))
    with pytest.raises(RecordError, match=r"case_00005: the CT is missing.*imaging\.nii\.gz"):
        find_kits19(tmp_path)


@pytest.mark.parametrize("find", [find_lits17, find_kits19])
def test_nothing_found_is_an_error(tmp_path: Path, find) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(RecordError, match="found no labelled case"):
        find(tmp_path)


def test_upper_case_is_read_and_what_fits_no_case_is_left_out(tmp_path: Path) -> None:
    lits(tmp_path, 1)
    touch(tmp_path / "Volume-2.NII.GZ")
    touch(tmp_path / "Segmentation-2.nii")
    for name in ("test-volume-1.nii", "liver_4.nii.gz", "a/b/volume-9.nii", "README", ".DS_Store"):
        touch(tmp_path / name)
    source = find_lits17(tmp_path)
    assert [case.case_id for case in source.cases] == ["volume-1", "volume-2"]
    assert source.left_out == {
        "liver_4.nii.gz": "not named volume-N.nii.gz or segmentation-N.nii.gz",
        "test-volume-1.nii": "of the challenge's test set, without masks, see --unlabelled",
        "a/b/volume-9.nii": "more than one folder below",
    }


def test_kits_cases_beside_each_other_are_all_found(tmp_path: Path) -> None:
    kits(tmp_path, 3)
    kits(tmp_path / "data", 4)
    touch(tmp_path / "Case_00005" / "Imaging.NII.GZ")
    touch(tmp_path / "Case_00005" / "segmentation.nii")
    kits(tmp_path, 210, ("imaging",))
    touch(tmp_path / "case_00003" / "segmentations" / "rater_1.nii.gz")
    touch(tmp_path / "case_00003 (1)" / "imaging.nii.gz")
    source = find_kits19(tmp_path)
    assert [case.case_id for case in source.cases] == ["Case_00005", "case_00003", "case_00004"]
    assert source.left_out == {
        "case_00210/imaging.nii.gz": (
            "of the challenge's test set, without a mask, see --missing-masks keep"
        ),
        "case_00003 (1)/imaging.nii.gz": "not in a folder case_NNNNN",
    }


def test_kits_twice_the_same_file_or_case_is_refused(tmp_path: Path) -> None:
    kits(tmp_path, 3)
    touch(tmp_path / "case_00003" / "imaging.nii")
    with pytest.raises(
        RecordError, match=r"case_00003: expected one imaging file, found .*nii and"
    ):
        find_kits19(tmp_path)
    (tmp_path / "case_00003" / "imaging.nii").unlink()
    kits(tmp_path / "data", 3)
    with pytest.raises(RecordError, match="case case_00003: expected one CT file per case"):
        find_kits19(tmp_path)
