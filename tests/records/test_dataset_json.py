import json
from pathlib import Path
from typing import Any

import pytest

from tfkd.errors import RecordError
from tfkd.records.dataset_json import find_nnunet

LABELS = {"background": 0, "liver": 1, "spleen": 2}


def nnunet(folder: Path, names: tuple[str, ...] = ("abd_2", "abd_10"), **facts: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    described = {"channel_names": {"0": "CT"}, "labels": LABELS, "file_ending": ".nii.gz"} | facts
    (folder / "dataset.json").write_text(json.dumps(described))
    for sub in ("imagesTr", "labelsTr"):
        (folder / sub).mkdir(exist_ok=True)
    for name in names:
        (folder / "imagesTr" / f"{name}_0000.nii.gz").touch()
        (folder / "labelsTr" / f"{name}.nii.gz").touch()
    return folder


@pytest.mark.parametrize(
    "labels", [LABELS, {"0": "background", "2": "spleen", "1": "liver"}], ids=["nnunet", "msd"]
)
def test_both_forms_of_labels_are_read(tmp_path: Path, labels: dict[str, Any]) -> None:
    source = find_nnunet(nnunet(tmp_path / "Dataset901_AbdomenCT", labels=labels))
    assert source.label_names == ("background", "liver", "spleen")
    assert source.name == "dataset901_abdomenct"
    assert [case.case_id for case in source.cases] == ["abd_2", "abd_10"]


@pytest.mark.parametrize("listed", [False, True])
def test_images_without_mask_are_kept_if_told_so(tmp_path: Path, listed: bool) -> None:
    entries = [
        {"image": f"./imagesTr/{name}_0000.nii.gz", "label": f"./labelsTr/{name}.nii.gz"}
        for name in ("abd_2", "abd_10")
    ]
    nnunet(tmp_path, **({"training": entries} if listed else {}))
    (tmp_path / "labelsTr" / "abd_10.nii.gz").unlink()
    with pytest.raises(RecordError, match=r"abd_10: the mask is missing.*--missing-masks keep"):
        find_nnunet(tmp_path)
    cases = find_nnunet(tmp_path, True).cases
    assert [(case.case_id, case.mask is None) for case in cases] == [
        ("abd_2", False),
        ("abd_10", True),
    ]


def test_msd_training_list_is_read(tmp_path: Path) -> None:
    nnunet(tmp_path, ("spleen_3",), training=[{"image": "./imagesTr/s_1.nii.gz", "label": "x"}])
    with pytest.raises(RecordError, match=r"case x: the CT is missing.*s_1\.nii\.gz"):
        find_nnunet(tmp_path)
    entry = {"image": "./imagesTr/spleen_3.nii.gz", "label": "./labelsTr/spleen_3.nii.gz"}
    nnunet(tmp_path, ("spleen_3",), training=[entry])
    (case,) = find_nnunet(tmp_path).cases
    assert case.case_id == "spleen_3"
    assert case.image.name == "spleen_3_0000.nii.gz"  # as nnU-Net names what the list calls so


def test_nnunet_dataset_entry_is_read(tmp_path: Path) -> None:
    entry = {"images": ["imagesTr/a_0000.nii.gz"], "label": "labelsTr/a.nii.gz"}
    (case,) = find_nnunet(nnunet(tmp_path, ("a",), dataset={"patient 4": entry})).cases
    assert (case.case_id, case.image.name) == ("patient 4", "a_0000.nii.gz")


@pytest.mark.parametrize(("sub", "what"), [("imagesTr", "the CT"), ("labelsTr", "the mask")])
def test_missing_half_names_case_and_file(tmp_path: Path, sub: str, what: str) -> None:
    nnunet(tmp_path)
    next((tmp_path / sub).glob("abd_10*")).unlink()
    with pytest.raises(RecordError, match=rf"case abd_10: {what} is missing.*{sub}/abd_10"):
        find_nnunet(tmp_path)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"channel_names": {"0": "CT", "1": "PET"}}, "expected one image channel"),
        ({"labels": {"background": 0, "liver": [1, 2]}}, "region-based"),
        ({"labels": {"background": 0, "liver": 2}}, "without gaps"),
        ({"labels": {}}, "missing or empty"),
    ],
)
def test_what_cannot_be_used_is_refused(
    tmp_path: Path, facts: dict[str, Any], message: str
) -> None:
    with pytest.raises(RecordError, match=message):
        find_nnunet(nnunet(tmp_path, **facts))


def test_missing_broken_and_empty_datasets_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"dataset\.json is missing"):
        find_nnunet(tmp_path)
    (tmp_path / "dataset.json").write_text("{")
    with pytest.raises(RecordError, match="expected JSON"):
        find_nnunet(tmp_path)
    with pytest.raises(RecordError, match="found no labelled case"):
        find_nnunet(nnunet(tmp_path, ()))


def pair(name: str, **more: Any) -> dict[str, Any]:
    """An entry of MSD's lists."""
    return {"image": f"imagesTr/{name}_0000.nii.gz", "label": f"labelsTr/{name}.nii.gz"} | more


def test_validation_and_test_lists_with_masks_are_for_these_splits(tmp_path: Path) -> None:
    names = ("a", "b", "c", "d")
    lists = {"training": [pair("a"), pair("b")], "validation": [pair("c")], "test": [pair("d")]}
    source = find_nnunet(nnunet(tmp_path, names, **lists))
    assert [case.case_id for case in source.cases] == list(names)
    assert (source.validation_cases, source.test_cases) == (("c",), ("d",))
    assert source.left_out == {}
    # without a list of training cases, the others of the folder are for the training
    source = find_nnunet(nnunet(tmp_path, names, validation=[pair("c")]))
    assert [case.case_id for case in source.cases] == list(names)
    assert source.validation_cases == ("c",)


def test_what_is_listed_without_mask_or_under_another_key_is_left_out(tmp_path: Path) -> None:
    root = nnunet(
        tmp_path,
        ("a", "b", "c"),
        training=[pair("a")],
        test=["./imagesTs/t.nii.gz", pair("x", label="labelsTs/x.nii.gz")],
        testing=[pair("b")],
    )
    assert find_nnunet(root).left_out == {
        "imagesTs/t.nii.gz": "in the list 'test' without a mask, see --unlabelled",
        "imagesTr/x_0000.nii.gz": "in the list 'test' without a mask, see --unlabelled",
        "imagesTr/b_0000.nii.gz": "in the list 'testing', which is not read",
        "imagesTr/c_0000.nii.gz": "in no list of dataset.json",
        "labelsTr/b.nii.gz": "in no list of dataset.json",
        "labelsTr/c.nii.gz": "in no list of dataset.json",
    }


def test_files_that_fit_no_case_of_the_folders_are_left_out(tmp_path: Path) -> None:
    root = nnunet(tmp_path, ("a",))
    (root / "labelsTr" / "B.NII.GZ").touch()
    (root / "imagesTr" / "B_0000.NII.GZ").touch()
    for name in ("imagesTr/a_0001.nii.gz", "imagesTr/a_0000.nii", "imagesTs/t.nii", "x.mha"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).touch()
    (root / "imagesTr" / "._a_0000.nii.gz").touch()
    (root / "README.md").touch()
    source = find_nnunet(root)
    assert [case.case_id for case in source.cases] == ["B", "a"]
    odd = "in imagesTr, not named NAME_0000 with the file ending"
    assert source.left_out == {
        "imagesTr/a_0000.nii": odd,
        "imagesTr/a_0001.nii.gz": odd,
        "imagesTs/t.nii": "in imagesTs, see --unlabelled",
        "x.mha": "not in imagesTr or labelsTr",
    }


def test_one_ct_by_two_endings_is_refused_where_none_is_stated(tmp_path: Path) -> None:
    root = nnunet(tmp_path, ("a",), file_ending=None)
    assert len(find_nnunet(root).cases) == 1
    (root / "imagesTr" / "a_0000.nii").touch()
    with pytest.raises(RecordError, match=r"case a: expected one file, found .*a_0000\.nii, "):
        find_nnunet(root)


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ({"training": [pair("a"), pair("a")]}, "'training', entry 1: case a is listed twice"),
        (
            {"training": [pair("a"), pair("b", image=pair("a")["image"])]},
            "'training', entry 1: case b .* has the CT of another case, a",
        ),
        ({"training": [pair("a")], "validation": [pair("a")]}, "'validation', entry 0: case a"),
        ({"training": [pair("a")], "dataset": {"b": pair("b")}}, "both 'training' and 'dataset'"),
        ({"training": ["imagesTr/a_0000.nii.gz"]}, "'training', entry 0: names no label"),
        ({"training": [pair("a"), {"image": "x"}]}, "'training', entry 1: names no label"),
        ({"training": []}, "lists no labelled case"),
        ({"dataset": {"s/a": pair("a")}}, "case 's/a' cannot be the name of a file"),
    ],
)
def test_lists_that_contradict_themselves_are_refused(
    tmp_path: Path, lists: dict[str, Any], message: str
) -> None:
    with pytest.raises(RecordError, match=message):
        find_nnunet(nnunet(tmp_path, ("a", "b"), **lists))


def test_entries_without_mask_are_kept_if_told_so(tmp_path: Path) -> None:
    listed = [pair("a"), "imagesTr/b_0000.nii.gz"]
    cases = find_nnunet(nnunet(tmp_path, ("a", "b"), training=listed), True).cases
    assert [(case.case_id, case.mask is None) for case in cases] == [("a", False), ("b", True)]


def test_another_number_of_cases_is_told(tmp_path: Path) -> None:
    root = nnunet(tmp_path, ("a", "b"), numTraining=3)
    with pytest.warns(UserWarning, match=r"'numTraining' is 3, but there are 2 training cases"):
        find_nnunet(root)
    find_nnunet(nnunet(tmp_path, ("a", "b"), numTraining="2"))


def test_ignore_is_no_class(tmp_path: Path) -> None:
    source = find_nnunet(nnunet(tmp_path, labels=LABELS | {"ignore": 3}))
    assert (source.label_names, source.ignored_label) == (tuple(LABELS), 3)
