import json
from pathlib import Path

import pytest

from tfkd.errors import RecordError
from tfkd.records import find_source


def test_layouts_are_recognised(cohort: Path, tmp_path: Path) -> None:
    assert find_source(cohort).name == "lits17"
    for name in ("imaging", "segmentation"):
        path = tmp_path / "kits" / "data" / "case_00001" / f"{name}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert find_source(str(tmp_path / "kits")).name == "kits19"
    task = tmp_path / "Task09"
    for name in ("imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz"):
        (task / name).parent.mkdir(parents=True)
        (task / name).touch()
    (task / "dataset.json").write_text(json.dumps({"labels": {"0": "background", "1": "spleen"}}))
    assert find_source(task).name == "task09"
    assert find_source(task).label_names == ("background", "spleen")


def test_wrong_folders_and_layouts_are_refused(cohort: Path, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"expected one of auto.*received 'lits18'"):
        find_source(cohort, "lits18")
    with pytest.raises(RecordError, match="no such folder"):
        find_source(tmp_path / "nowhere")
    with pytest.raises(RecordError, match="it is empty"):
        find_source(tmp_path)
    (tmp_path / "notes.txt").touch()
    with pytest.raises(RecordError, match="not recognised"):
        find_source(tmp_path)
    with pytest.raises(RecordError, match="found no labelled case"):
        find_source(cohort, "kits19")


@pytest.mark.parametrize(
    ("folder", "name", "cases", "classes"),
    [
        ("lits17", "lits17", 25, 3),
        ("lits17_full", "lits17", 1, 3),
        ("kits19", "kits19", 2, 3),
        ("kits19/data", "kits19", 2, 3),
        ("Dataset901_AbdomenCT", "dataset901_abdomenct", 10, 9),
    ],
)
def test_real_cohorts(shared_data: Path, folder: str, name: str, cases: int, classes: int) -> None:
    source = find_source(shared_data / folder)
    assert (source.name, len(source.cases), len(source.label_names)) == (name, cases, classes)


def test_a_folder_of_two_cohorts_is_refused(tmp_path: Path) -> None:
    for name in ("lits/volume-1.nii", "case_00001/imaging.nii"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    with pytest.raises(RecordError, match=r"those of lits17 and of kits19\. Choose with `layout`"):
        find_source(tmp_path)
