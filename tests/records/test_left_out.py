from pathlib import Path

from tfkd.records.left_out import loose_images, name_in, told_left_out


def test_files_of_images_are_found_and_others_not(tmp_path: Path) -> None:
    names = (
        *("a.nii", "B.NII.GZ", "c.nii.gz.part", "d.mha", "below/e.nii.gz", "below/two/f.nii"),
        *("README.md", ".DS_Store", "._a.nii", ".hidden/g.nii", "below/two/three/h.nii"),
        *("passed/i.nii", "labels.csv"),
    )
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = loose_images(tmp_path, [tmp_path / "a.nii"], unseen=[tmp_path / "passed"])
    assert [name_in(tmp_path, path) for path in found] == [
        *("B.NII.GZ", "c.nii.gz.part", "d.mha", "below/e.nii.gz", "below/two/f.nii"),
    ]
    assert name_in(tmp_path / "below", tmp_path / "a.nii") == (tmp_path / "a.nii").as_posix()


def test_they_are_told_in_one_line_by_their_reasons() -> None:
    left_out = {f"{k}.nii": "in no list" for k in range(4)} | {"a.mha": "not NIfTI"}
    assert told_left_out(left_out) == (
        "5 files are left out: 4 in no list (0.nii, 1.nii, 2.nii, ...); 1 not NIfTI (a.mha)"
    )
    assert told_left_out({"a": "odd"}) == "1 file is left out: 1 odd (a)"


def test_links_to_folders_are_looked_into_and_those_to_used_files_are_not_told(
    tmp_path: Path,
) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "cohort").mkdir()
    for name in ("a.nii", "b.nii"):
        (tmp_path / "store" / name).touch()
    (tmp_path / "cohort" / "link").symlink_to(tmp_path / "store")
    (tmp_path / "cohort" / "round").symlink_to(tmp_path / "cohort")
    used = [tmp_path / "store" / "a.nii"]
    names = [name_in(tmp_path, path) for path in loose_images(tmp_path / "cohort", used)]
    assert names == ["cohort/link/b.nii", "cohort/round/link/b.nii"]
