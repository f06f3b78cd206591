"""Bad input: one line that names case and file, and nothing half-written."""

import shutil
from collections.abc import Callable
from pathlib import Path

import keras
import nibabel as nib
import numpy as np
import pytest

from tfkd.cli.main import main

Fail = Callable[..., str]
Damage = Callable[[Path, Callable[..., Path]], object]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def array_of(path: Path) -> np.ndarray:
    return np.array(nib.load(path).dataobj)


# What is done to volume-3.nii.gz or segmentation-3.nii.gz in a folder.


def other_shape(folder: Path, save: Callable[..., Path]) -> None:
    path = folder / "segmentation-3.nii.gz"
    save(path, array_of(path)[..., :-1])


def other_place(folder: Path, save: Callable[..., Path]) -> None:
    path = folder / "segmentation-3.nii.gz"
    save(path, array_of(path), np.diag([1.5, -1.5, 3.0, 1.0]))


def no_mask(folder: Path, save: Callable[..., Path]) -> None:
    (folder / "segmentation-3.nii.gz").unlink()


def unknown_label(folder: Path, save: Callable[..., Path]) -> None:
    path = folder / "segmentation-3.nii.gz"
    mask = array_of(path)
    mask[5, 5, 5] = 7
    save(path, mask)


def fractional_label(folder: Path, save: Callable[..., Path]) -> None:
    path = folder / "segmentation-3.nii.gz"
    save(path, array_of(path).astype(np.float32) / 2)


def four_axes(folder: Path, save: Callable[..., Path]) -> None:
    path = folder / "volume-3.nii.gz"
    save(path, np.stack([array_of(path)] * 2, axis=-1))


def cut_short(folder: Path, save: Callable[..., Path]) -> None:
    path = folder / "volume-3.nii.gz"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def not_nifti(folder: Path, save: Callable[..., Path]) -> None:
    (folder / "volume-3.nii.gz").write_text("an HTML page that a download left behind")


def nan(folder: Path, save: Callable[..., Path]) -> None:
    path = folder / "volume-3.nii.gz"
    image = array_of(path).astype(np.float32)
    image[0, 0, 0] = np.nan
    save(path, image)


DAMAGES = [
    (other_shape, "segmentation-3.nii.gz", "must have one shape"),
    (other_place, "segmentation-3.nii.gz", "same voxels"),
    (no_mask, "segmentation-3.nii.gz", "the mask is missing"),
    (unknown_label, "segmentation-3.nii.gz", "label value(s) [7]"),
    (fractional_label, "segmentation-3.nii.gz", "whole-numbered labels"),
    (four_axes, "volume-3.nii.gz", "expected one 3-D volume"),
    (cut_short, "volume-3.nii.gz", "cut short"),
    (not_nifti, "volume-3.nii.gz", "expected a NIfTI file"),
    (nan, "volume-3.nii.gz", "NaN"),
]
NAMES = [damage.__name__ for damage, *_ in DAMAGES]


@pytest.mark.parametrize(("damage", "file", "reason"), DAMAGES, ids=NAMES)
def test_prepare_names_the_bad_case(
    own_cohort: Path, save_nifti: Callable[..., Path], fail: Fail, damage: Damage, file, reason
) -> None:
    damage(own_cohort, save_nifti)
    out = own_cohort.parent / "records"
    fail(["prepare", own_cohort, out, "--size", "32", "32"], "volume-3", own_cohort / file, reason)
    assert not out.exists()


def test_prepare_goes_on_when_the_case_is_repaired(
    own_cohort: Path, cohort: Path, records: Path, save_nifti: Callable[..., Path], fail: Fail
) -> None:
    out = own_cohort.parent / "records"
    words = ["prepare", own_cohort, out, "--size", "32", "32"]
    nan(own_cohort, save_nifti)
    fail(words)
    assert (out.with_name("records.partial") / "cases/volume-2.tfrecord").exists()
    shutil.copy(cohort / "volume-3.nii.gz", own_cohort)
    assert main([str(word) for word in words]) == 0
    assert not out.with_name("records.partial").exists()
    for shard in records.glob("*.tfrecord*"):
        assert (out / shard.name).read_bytes() == shard.read_bytes()


def test_prepare_refuses_an_empty_folder(tmp_path: Path, fail: Fail) -> None:
    empty = tmp_path / "nothing"
    empty.mkdir()
    fail(["prepare", empty, tmp_path / "records"], empty, "empty")
    assert sorted(tmp_path.iterdir()) == [empty]


def test_prepare_refuses_a_folder_that_is_not_empty(
    cohort: Path, tmp_path: Path, fail: Fail
) -> None:
    out = tmp_path / "records"
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    fail(["prepare", cohort, out], out, "not empty")
    assert contents(tmp_path) == {"records/thesis.txt": b"mine"}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--size", "0", "32"], "(0, 32)"),
        (["--window", "5", "5"], "(5.0, 5.0)"),
        (["--test", "1.5"], "split test"),
        (["--test-cases", "77"], "case '77' does not exist"),
        (["--test", "0.9", "--validation", "0.9"], "no patient is left"),
        (["--workers", "0"], "workers"),
        (["--layout", "nnunet"], "dataset.json"),
    ],
)
def test_prepare_refuses_settings_out_of_range(
    cohort: Path, tmp_path: Path, fail: Fail, options, reason
) -> None:
    fail(["prepare", cohort, tmp_path / "records", *options], reason)
    assert not any(tmp_path.iterdir())


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def fit(*args: object, **kwargs: object) -> None:
        raise AssertionError("training began")

    monkeypatch.setattr(keras.Model, "fit", fit)


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(
    ("teacher", "reason"),
    [
        ("no_taps.keras", "layer named 'tap_low'"),
        ("two_classes.keras", "same number of classes. Received 2 ('tiny') and 3"),
        ("other_size.keras", "same input. Received (64, 64, 1)"),
        ("text.keras", "expected a model saved by Keras 3"),
        ("absent.keras", "found none"),
    ],
)
def test_distill_refuses_a_teacher_before_any_training(
    models: Path, records: Path, tmp_path: Path, fail: Fail, teacher, reason
) -> None:
    words = ["distill", records, tmp_path / "run", "--teacher", models / teacher]
    words += ["--method", "emkd"]  # which compares features
    fail([*words, "--network", "MobileNetV2", "--width", "0.05"], models / teacher, reason)
    assert not any(tmp_path.iterdir())


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--network", "Transformer"], "RAUNet"),
        (["--width", "0"], "width"),
        (["--epochs", "0"], "epochs"),
        (["--learning-rate", "0"], "learning_rate"),
        (["--batch-size", "0"], "batch_size"),
    ],
)
def test_train_refuses_settings_out_of_range(
    records: Path, tmp_path: Path, fail: Fail, options, reason
) -> None:
    fail(["train", records, tmp_path / "run", *options], reason)
    assert not any(tmp_path.iterdir())


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("verb", ["train", "distill"])
def test_a_finished_training_is_left_alone(
    models: Path, records: Path, tmp_path: Path, fail: Fail, verb
) -> None:
    out = tmp_path / "run"
    out.mkdir()
    shutil.copy(models / "fitting.keras", out / "model.keras")
    before = contents(out)
    teacher = ["--teacher", models / "fitting.keras"] if verb == "distill" else []
    fail([verb, records, out, *teacher], out, "new or empty output folder")
    assert contents(out) == before


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("two_classes.keras", "3 labels ('background', 'liver', 'tumour')"),
        ("other_size.keras", "(64, 64, 1)"),
        ("text.keras", "expected a model saved by Keras 3"),
        ("absent.keras", "found none"),
        ("absent.tflite", "found none"),
    ],
)
def test_evaluate_names_the_model(
    models: Path, records: Path, tmp_path: Path, fail: Fail, model, reason
) -> None:
    words = ["evaluate", models / model, records, "-o", tmp_path / "run" / "scores.json"]
    fail(words, models / model, reason)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("two_classes.keras", "expected 2 names"),
        ("other_size.keras", "(64, 64, 1)"),
        ("text.keras", "expected a model saved by Keras 3"),
        ("absent.keras", "found none"),
    ],
)
def test_export_names_the_student_and_keeps_the_earlier_file(
    models: Path, records: Path, own_export: Path, fail: Fail, model, reason
) -> None:
    before = contents(own_export.parent)
    fail(["export", models / model, own_export, "-r", records], models / model, reason)
    assert contents(own_export.parent) == before


def test_export_refuses_a_file_that_does_not_agree(
    models: Path, records: Path, tmp_path: Path, fail: Fail, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tfkd.export import litert

    def wrong(student: keras.Model, batch_size: int) -> Callable[[np.ndarray], np.ndarray]:
        return lambda images: np.zeros((len(images), 32, 32, 3), np.float32)

    monkeypatch.setattr(litert, "keras_logits", wrong)
    words = ["export", models / "fitting.keras", tmp_path / "s.tflite", "-r", records]
    fail([*words, "-q", "float32"], "0.9990", "Nothing was written")
    assert not any(tmp_path.iterdir())


def test_a_model_file_without_its_contract(
    own_export: Path, cohort: Path, records: Path, fail: Fail, tmp_path: Path
) -> None:
    own_export.with_suffix(".json").unlink()
    before = contents(tmp_path)
    mask, scores = tmp_path / "mask.nii.gz", tmp_path / "scores.json"
    ct = cohort / "volume-0.nii.gz"
    fail(["predict", own_export, ct, "-o", mask], own_export, "contract own.json")
    fail(["evaluate", own_export, records, "-o", scores], own_export, "contract own.json")
    assert contents(tmp_path) == before


def test_a_contract_of_another_file(
    own_export: Path, cohort: Path, records: Path, fail: Fail, tmp_path: Path
) -> None:
    own_export.write_bytes(own_export.read_bytes() + b"\0")
    before = contents(tmp_path)
    mask, scores = tmp_path / "mask.nii.gz", tmp_path / "scores.json"
    ct = cohort / "volume-0.nii.gz"
    fail(["predict", own_export, ct, "-o", mask], own_export, "SHA-256")
    fail(["evaluate", own_export, records, "-o", scores], own_export, "SHA-256")
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("damage", "reason"),
    [(four_axes, "3-D"), (cut_short, "cut short"), (not_nifti, "NIfTI"), (nan, "NaN")],
)
def test_predict_names_the_bad_ct(
    exported: Path, own_cohort: Path, save_nifti, fail: Fail, damage: Damage, reason
) -> None:
    damage(own_cohort, save_nifti)
    ct, mask = own_cohort / "volume-3.nii.gz", own_cohort.parent / "masks" / "mask.nii.gz"
    fail(["predict", exported, ct, "-o", mask], "Case 'volume-3'", ct, reason)
    assert not mask.parent.exists()


def test_predict_replaces_a_mask_only_when_told_to(
    exported: Path, cohort: Path, tmp_path: Path, fail: Fail
) -> None:
    mask = tmp_path / "mask.nii.gz"
    mask.write_text("drawn by hand for days")
    words = ["predict", exported, cohort / "volume-0.nii.gz", "-o", mask]
    fail(words, mask, "--overwrite")
    assert contents(tmp_path) == {"mask.nii.gz": b"drawn by hand for days"}
    assert main([*map(str, words), "--overwrite"]) == 0
    assert nib.load(mask).shape == (32, 32, 8)


@pytest.mark.parametrize(
    ("words", "mentions"),
    [
        (["prepare", "absent", "out"], ["absent", "no such folder"]),
        (["train", "absent", "out"], ["absent/manifest.json"]),
        (["distill", "absent", "out", "--teacher", "t.keras"], ["absent/manifest.json"]),
        (["evaluate", "m.tflite", "absent", "-o", "out.json"], ["absent/manifest.json"]),
        (["export", "m.keras", "out.tflite", "-r", "absent"], ["absent/manifest.json"]),
        (["predict", "absent.tflite", "ct.nii.gz"], ["absent.tflite", "found none"]),
        (["report", "absent"], ["absent/evaluation"]),
        (["demo", "--out", "out", "--data", "absent"], ["absent", "no such folder"]),
        (["predict", "--config", "absent.toml"], ["absent.toml", "No such file"]),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_a_missing_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fail: Fail, words, mentions
) -> None:
    monkeypatch.chdir(tmp_path)
    fail(words, *mentions)
    assert not any(tmp_path.iterdir())


def test_a_missing_ct_is_named(exported: Path, tmp_path: Path, fail: Fail) -> None:
    fail(["predict", exported, tmp_path / "ct.nii.gz"], tmp_path / "ct.nii.gz", "no such file")
    assert not any(tmp_path.iterdir())


def test_volumes_that_have_moved_are_named(
    exported: Path, records: Path, tmp_path: Path, fail: Fail
) -> None:
    words = ["evaluate", exported, records, "-o", tmp_path / "scores.json"]
    fail([*words, "--source", tmp_path], "case volume-", tmp_path / "volume-", "--source")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "suffix"),
    [
        (["evaluate", "m.keras", "records", "-o", "scores"], ".json"),
        (["export", "m.keras", "student.tf", "-r", "records"], ".tflite"),
        (["predict", "m.tflite", "ct.nii.gz", "-o", "mask.png"], ".nii or .nii.gz"),
    ],
)
def test_an_output_of_another_kind_is_refused_before_any_work(fail: Fail, words, suffix) -> None:
    fail(words, f"ends in {suffix}")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("colour = 1", "unknown setting colour"),
        ('command = "paint"', "those of 'paint'"),
        ("threads = 'two'", "threads as int"),
        ("threads = ", "expected a TOML file"),
    ],
)
def test_a_bad_settings_file_is_named(
    exported: Path, cohort: Path, tmp_path: Path, fail: Fail, text, reason
) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text(text)
    words = ["predict", exported, cohort / "volume-0.nii.gz", "-o", tmp_path / "mask.nii.gz"]
    fail([*words, "--config", settings], settings, reason)
    assert list(tmp_path.iterdir()) == [settings]


@pytest.mark.parametrize(
    "verb", ["prepare", "train", "distill", "evaluate", "export", "predict", "report", "demo"]
)
def test_every_verb_refuses_an_unknown_setting(tmp_path: Path, fail: Fail, verb) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text("colour = 1")
    fail([verb, "--config", settings], settings, "unknown setting colour")
