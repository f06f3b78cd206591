"""`tfkd prepare` on folders by other hands: nothing is lost without a line that says so."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from tfkd.cli.main import main
from tfkd.records import Manifest, load

Save = Callable[..., Path]
Fail = Callable[..., str]
SHAPE = (16, 16, 2)


@pytest.fixture
def dataset(tmp_path: Path, save_nifti: Save) -> Callable[..., Path]:
    """Makes an nnU-Net folder of four cases: organ 1 with a lesion 2."""

    def make(change: Callable[[np.ndarray], Any] = np.asarray, **facts: Any) -> Path:
        folder = tmp_path / "Dataset001"
        for sub in ("imagesTr", "labelsTr"):
            (folder / sub).mkdir(parents=True)
        mask = np.zeros(SHAPE, np.uint8)
        mask[4:12, 4:12] = 1
        mask[6:9, 6:9] = 2
        for k in range(4):
            image = np.random.default_rng(k).integers(-100, 100, SHAPE).astype(np.int16)
            save_nifti(folder / "imagesTr" / f"c{k}_0000.nii.gz", image)
            save_nifti(folder / "labelsTr" / f"c{k}.nii.gz", np.asarray(change(mask), np.uint8))
        labels = {"background": 0, "liver": 1, "tumour": 2}
        text = json.dumps({"channel_names": {"0": "CT"}, "labels": labels} | facts)
        (folder / "dataset.json").write_text(text)
        return folder

    return make


def words(folder: Path) -> list[str]:
    return ["prepare", str(folder), str(folder.with_name("out")), "--size", "16", "16"]


def entry(k: int) -> dict[str, str]:
    return {"image": f"imagesTr/c{k}_0000.nii.gz", "label": f"labelsTr/c{k}.nii.gz"}


def test_it_ends_with_what_each_split_holds(dataset: Callable[..., Path], capsys: Any) -> None:
    folder = dataset()
    assert main(words(folder)) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert rows[0][:5] == ["label", "train:", "cases", "voxels", "mL"]
    # In each of two slices 8 × 8 pixels without the lesion's 3 × 3, of 1.5 × 1.5 × 3 mm.
    held = ["1/1", "110", "0.7"]
    assert rows[1] == ["liver", "2/2", "220", "1.5", *held, *held]
    held = ["1/1", "18", "0.1"]
    assert rows[2] == ["tumour", "2/2", "36", "0.2", *held, *held]


@pytest.mark.filterwarnings("always::UserWarning")
def test_the_lists_of_the_file_make_the_splits(dataset: Callable[..., Path], capsys: Any) -> None:
    folder = dataset(
        training=[entry(0), entry(1)], validation=[entry(3)], test=["imagesTs/t.nii.gz"]
    )
    assert main([*words(folder), "--test", "0"]) == 0
    said = capsys.readouterr()
    assert "validation: what dataset.json lists under 'validation', 1 case(s)" in said.out
    assert said.err.count("warning") == 1
    assert "1 in the list 'test' without a mask, see --unlabelled (imagesTs/t.nii.gz)" in said.err
    assert "2 in no list of dataset.json (imagesTr/c2_0000.nii.gz, labelsTr/c2.nii.gz)" in said.err
    manifest = Manifest.load(folder.with_name("out"))
    assert manifest.splits == {"train": ("c0", "c1"), "validation": ("c3",), "test": ()}
    assert len(manifest.left_out) == 3


def test_settings_win_over_the_lists_and_say_so(dataset: Callable[..., Path], capsys: Any) -> None:
    folder = dataset(training=[entry(0), entry(1), entry(2)], validation=[entry(3)])
    assert main([*words(folder), "--validation-cases", "c0", "--test", "0"]) == 0
    assert (
        "validation: 1 case(s), as the settings want; 0 of the 1 that dataset.json lists under "
        "'validation'" in capsys.readouterr().out
    )


def test_ignore_of_nnunet_is_learned_and_scored_by_nobody(
    dataset: Callable[..., Path], capsys: Any
) -> None:
    from tfkd.evaluation import read_case

    folder = dataset(labels={"background": 0, "liver": 1, "ignore": 2})
    assert main(words(folder)) == 0
    assert "(no label)           2/2      36" in capsys.readouterr().out
    manifest = Manifest.load(folder.with_name("out"))
    assert (manifest.label_names, manifest.ignored_label) == (("background", "liver"), 2)
    (test,) = manifest.case_files("test")
    assert set(np.unique(read_case(test)[1].array)) == {0, 1, 255}
    (first, *_) = load(folder.with_name("out")).examples("test")
    assert set(np.unique(first.mask)) == {0, 1, 255}


def test_masks_of_0_and_255_are_refused(dataset: Callable[..., Path], capsys: Any) -> None:
    folder = dataset(lambda mask: (mask > 0) * 255, labels={"background": 0, "liver": 1})
    assert main(words(folder)) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert "4 of 4 masks hold 255 and never class 1 (liver)" in last
    assert "0/255 masks must be stored as 0/1; 255 means no label" in last
    assert not folder.with_name("out").exists()


@pytest.mark.filterwarnings("always::UserWarning")
def test_a_class_in_no_mask_is_one_line(dataset: Callable[..., Path], capsys: Any) -> None:
    assert main(words(dataset(lambda mask: mask > 0))) == 0
    said = capsys.readouterr()
    assert said.err.count("warning") == 1
    assert "none of the 4 masks holds class 2 (tumour)" in said.err
    assert "tumour           0/2       0  0.0" in said.out


def test_an_entry_of_another_form_is_one_line(dataset: Callable[..., Path], fail: Fail) -> None:
    folder = dataset(training=[entry(0), {"image": "imagesTr/c1_0000.nii.gz"}])
    fail(words(folder), folder / "dataset.json", "'training', entry 1: names no label")


def test_the_demo_takes_the_lists_too(
    dataset: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tfkd.cli import demo

    class Stop(Exception):
        pass

    taken = []

    def stop(config: Any) -> None:
        taken.append((config.validation, config.test))
        raise Stop

    monkeypatch.setattr(demo.prepare, "run", stop)
    folder = dataset(training=[entry(0), entry(1), entry(2)], validation=[entry(3)])
    for out, more in (("a", {}), ("b", {"validation": 0.5, "test": 0.0})):
        with pytest.raises(Stop):
            demo.run(demo.Config(out=folder.with_name(out), data=folder, **more))
    assert taken == [(None, 0.2), (0.5, 0.0)]


@pytest.mark.filterwarnings("always::UserWarning")
@pytest.mark.parametrize(("codes", "read_as"), [(None, "LAS"), ("RAS", "RAS")])
def test_files_without_an_orientation_are_read_as_in_every_layout(
    dataset: Callable[..., Path], capsys: Any, codes: str | None, read_as: str
) -> None:
    folder = dataset()
    for path in folder.rglob("c0*.nii.gz"):
        nib.save(nib.Nifti1Image(np.asarray(nib.load(path).dataobj), np.eye(4)), path)
    flag = [] if codes is None else ["--identity-affine", codes]
    assert main([*words(folder), *flag]) == 0
    said = capsys.readouterr().err
    assert said.count(f"it is read as {read_as}") == 2
    assert said.count("--identity-affine") == (0 if codes else 2)
    assert Manifest.load(folder.with_name("out")).identity_affine == codes


def test_axes_that_are_none_are_refused(dataset: Callable[..., Path], fail: Fail) -> None:
    fail([*words(dataset()), "--identity-affine", "LAX"], "--identity-affine", "'LAX'")


@pytest.mark.filterwarnings("always::UserWarning")
def test_ct_that_is_no_hu_is_told(
    dataset: Callable[..., Path], save_nifti: Save, capsys: Any
) -> None:
    folder = dataset()
    path = folder / "imagesTr" / "c2_0000.nii.gz"
    save_nifti(path, np.asarray(nib.load(path).dataobj) + np.int16(1024))
    assert main(words(folder)) == 0
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "Hounsfield" in line]
    assert "'c2'" in line
    assert "1024 had not been taken off" in line
