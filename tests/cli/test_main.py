"""The command line as such: help, exit status, warnings, and settings that repeat a command."""

import dataclasses
import importlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import types
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import tensorflow as tf

import tfkd
from tfkd.cli import predict
from tfkd.cli.config import config_path, read_config
from tfkd.cli.main import VERBS, main
from tfkd.errors import GeometryError
from tfkd.records.folder_lock import folder_lock

Captured = pytest.CaptureFixture[str]
PREDICT = ["predict", "student.tflite", "ct.nii.gz"]


def stop(words: list[str]) -> int | str | None:
    with pytest.raises(SystemExit) as exit_:
        main(words)
    return exit_.value.code


def module(verb: str) -> types.ModuleType:
    return importlib.import_module(f"tfkd.cli.{verb}")


@pytest.fixture
def caught(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The config of each verb that is run; nothing else happens."""
    configs: list[Any] = []
    for verb in VERBS:
        monkeypatch.setattr(module(verb), "run", configs.append)
    return configs


@pytest.fixture
def predict_raises(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    def prepare(error: BaseException) -> None:
        def run(config: object) -> None:
            raise error

        monkeypatch.setattr(predict, "run", run)

    return prepare


# Help and version.


@pytest.mark.parametrize("verb", VERBS)
def test_help_shows_every_setting_and_an_example_that_works(
    capsys: Captured, caught: list[Any], verb: str
) -> None:
    assert stop([verb, "--help"]) == 0
    text = capsys.readouterr().out
    example = module(verb).EXAMPLE
    assert example in text
    for field in dataclasses.fields(module(verb).Config):
        assert field.name in text or f"--{field.name.replace('_', '-')}" in text
    program, *words = shlex.split(example)
    assert (program, words[0]) == ("tfkd", verb)
    assert main(words) == 0
    assert isinstance(caught[0], module(verb).Config)


def test_help_lists_the_verbs_and_commands_that_work(capsys: Captured, caught: list[Any]) -> None:
    assert stop(["--help"]) == 0
    text = capsys.readouterr().out
    for verb in VERBS:
        assert module(verb).SUMMARY.split(",")[0].split(":")[0][:40] in " ".join(text.split())
    commands = re.findall(r"^  tfkd (.+)$", text, re.MULTILINE)
    assert len(commands) == 6
    for words in commands:
        assert main(shlex.split(words)) == 0


def test_version(capsys: Captured) -> None:
    assert stop(["--version"]) == 0
    assert capsys.readouterr().out == f"tfkd {tfkd.__version__}\n"


def test_seed_is_a_setting_of_all_that_is_random() -> None:
    for verb in ("prepare", "train", "distill", "demo"):
        assert "seed" in {field.name for field in dataclasses.fields(module(verb).Config)}


# Exit status.


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([], "COMMAND"),
        (["paint"], "paint"),
        ([*PREDICT, "--colour"], "--colour"),
        ([*PREDICT, "--threads", "two"], "--threads"),
        (["prepare", "in", "out", "--layout", "chaos"], "--layout"),
        (["prepare", "in", "out", "--size", "32"], "--size"),
    ],
)
def test_wrong_usage_is_2(capsys: Captured, words: list[str], reason: str) -> None:
    assert stop(words) == 2
    assert reason in capsys.readouterr().err


def test_a_missing_argument_is_2(capsys: Captured) -> None:
    assert main(["predict", "student.tflite"]) == 2
    assert capsys.readouterr().err == (
        "tfkd predict: error: expected CT. See tfkd predict --help.\n"
    )
    assert main(["export", "s.keras", "s.tflite"]) == 2
    assert "expected --records" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error",
    [
        GeometryError("case 7: bad"),
        ValueError("case 7: bad"),
        FileNotFoundError("case 7: bad"),
        PermissionError("case 7: bad"),
        ImportError("case 7: bad"),
        ModuleNotFoundError("case 7: bad", name="tensorflow"),
        ValueError("case 7:\n\n    bad\n"),
    ],
    ids=repr,
)
def test_an_expected_error_is_one_line_and_1(capsys: Captured, predict_raises, error) -> None:
    predict_raises(error)
    assert main(PREDICT) == 1
    assert capsys.readouterr().err == "tfkd predict: error: case 7: bad\n"


@pytest.mark.parametrize(
    "error",
    [
        TypeError("a bug"),
        KeyError("a bug"),
        AttributeError("a bug"),
        RecursionError("a bug"),
        RuntimeError("a\n  bug"),
        zlib.error("a bug"),
        ImportError("a bug", name="tfkd.inference"),
    ],
    ids=repr,
)
def test_a_bug_is_one_line_and_its_traceback_is_in_a_log(
    capsys: Captured, predict_raises, error, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    predict_raises(error)
    assert main(PREDICT) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"tfkd predict: error: unexpected {type(error).__name__}: ")
    assert "a bug" in line
    (log,) = tmp_path.iterdir()
    assert line.endswith(f"report it with the log file {log}.")
    assert "command: tfkd predict student.tflite ct.nii.gz\n" in log.read_text()
    assert "Traceback (most recent call last)" in log.read_text()


def test_a_bug_before_the_verb_is_one_line(
    capsys: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def add_arguments(*_: object) -> None:
        raise KeyError("a bug")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tfkd.cli.main.add_arguments", add_arguments)
    assert main([]) == 1
    assert capsys.readouterr().err.startswith("tfkd: error: unexpected KeyError: 'a bug'.")


def test_no_memory_and_loops_of_links_are_no_bugs(
    capsys: Captured, predict_raises, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for error in (MemoryError("for 9 GiB"), RuntimeError("Symlink loop from 'ct.nii.gz'")):
        predict_raises(error)
        assert main(PREDICT) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first == "tfkd predict: error: not enough memory. for 9 GiB"
    assert second == "tfkd predict: error: Symlink loop from 'ct.nii.gz'"
    assert not any(tmp_path.iterdir())


def test_an_error_of_tensorflow_is_one_line_without_its_stack(
    capsys: Captured, predict_raises
) -> None:
    said = 'Detected at node add\n  File "a.py", line 1, in b\n\nOOM when allocating tensor\n'
    predict_raises(tf.errors.ResourceExhaustedError(None, None, said))
    assert main(PREDICT) == 1
    assert capsys.readouterr().err == (
        "tfkd predict: error: ResourceExhaustedError: Detected at node add "
        "OOM when allocating tensor\n"
    )


def test_tracebacks_on_request(predict_raises, monkeypatch: pytest.MonkeyPatch) -> None:
    predict_raises(GeometryError("case 7"))
    monkeypatch.setenv("TFKD_TRACEBACK", "1")
    with pytest.raises(GeometryError, match="case 7"):
        main(PREDICT)


def test_an_interrupt_is_130(capsys: Captured, predict_raises) -> None:
    predict_raises(KeyboardInterrupt())
    assert main(PREDICT) == 130
    assert "interrupted" in capsys.readouterr().err


@pytest.mark.filterwarnings("always")
def test_sigterm_is_75_and_ends_a_wait(
    capsys: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one in the operating system, for a folder that another one writes to."""

    def run(config: object) -> None:
        with folder_lock(tmp_path), folder_lock(tmp_path):
            pytest.fail("locked twice")

    monkeypatch.setattr(predict, "run", run)
    before = signal.getsignal(signal.SIGTERM)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    status = main(PREDICT)
    timer.cancel()  # it would end the tests
    assert status == 75
    assert capsys.readouterr().err == (
        f"tfkd: warning: {tmp_path}: waiting for another process that writes there.\n"
        "tfkd predict: told to stop; run the same command to go on\n"
    )
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_missing_runtime_is_one_line(
    exported: Path, cohort: Path, tmp_path: Path, fail, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ai_edge_litert", "ai_edge_litert.interpreter"):
        monkeypatch.setitem(sys.modules, name, None)
    words = ["predict", exported, cohort / "volume-0.nii.gz", "-o", tmp_path / "mask.nii.gz"]
    fail(words, "pip install ai-edge-litert")
    assert not any(tmp_path.iterdir())


# Warnings.


def test_a_warning_is_one_line(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(config: object) -> None:
        warnings.warn("something\n  odd", UserWarning, stacklevel=1)

    monkeypatch.setattr(predict, "run", run)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert main(PREDICT) == 0
    assert capsys.readouterr().err == "tfkd: warning: something odd\n"


def test_a_ct_without_orientation_is_segmented_with_a_warning(
    exported: Path, save_nifti, tmp_path: Path, capsys: Captured
) -> None:
    ct = save_nifti(tmp_path / "ct.nii.gz", np.zeros((32, 32, 8), np.int16), np.eye(4))
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert main(["predict", str(exported), str(ct)]) == 0
    captured = capsys.readouterr()
    told = [line for line in captured.err.splitlines() if "warning" in line]
    assert len(told) == 1
    assert told[0].startswith(f"tfkd: warning: Case 'ct', file {ct} has an identity affine")
    assert captured.out.splitlines()[-1] == str(tmp_path / "ct_mask.nii.gz")


def test_a_warning_is_shown_once(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(config: object) -> None:
        for file in ("a.nii", "a.nii", "b.nii"):
            warnings.warn(f"{file} is odd", UserWarning, stacklevel=1)

    monkeypatch.setattr(predict, "run", run)
    for _ in range(2):
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            assert main(PREDICT) == 0
        told = capsys.readouterr().err.splitlines()
        assert told == ["tfkd: warning: a.nii is odd", "tfkd: warning: b.nii is odd"]


def test_whoever_stops_reading_hears_no_complaint() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "tfkd.cli.main", "--help"]
    # Unbuffered, argparse itself is silent about it.
    environment = os.environ | {"PYTHONUNBUFFERED": ""}
    run = subprocess.run(
        command, stdout=writer, stderr=subprocess.PIPE, check=False, env=environment
    )
    os.close(writer)
    assert (run.returncode, run.stderr) == (141, b"")


# What a light command costs.


def test_import_loads_no_tensorflow() -> None:
    command = [sys.executable, "-X", "importtime", "-c", "import tfkd"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    modules = {line.rsplit("|", 1)[-1].strip() for line in run.stderr.splitlines()}
    assert "tfkd" in modules
    assert not {name for name in modules if name.split(".")[0] in ("tensorflow", "keras")}


def test_the_module_runs_as_a_program() -> None:
    command = [sys.executable, "-m", "tfkd.cli.main", "predict", "absent.tflite", "ct.nii.gz"]
    environment = {name: value for name, value in os.environ.items() if name != "TFKD_TRACEBACK"}
    run = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert run.returncode == 1
    assert run.stderr.startswith("tfkd predict: error: absent.tflite: expected a .tflite model")
    assert run.stdout == ""


# The settings beside an output repeat the command.


def repeated(verb: str, output: Path) -> Any:
    """The config that `--config` reads from beside an output."""
    return read_config(module(verb).Config, verb, {"config": config_path(output)})


def test_prepare_is_repeated(cohort: Path, records: Path, tmp_path: Path) -> None:
    assert repeated("prepare", records).source == cohort
    again = tmp_path / "again"
    words = [str(cohort), str(again), "--config", str(config_path(records))]
    assert main(["prepare", *words]) == 0
    assert (again / "manifest.json").read_bytes() == (records / "manifest.json").read_bytes()
    for shard in records.glob("*.tfrecord*"):
        assert (again / shard.name).read_bytes() == shard.read_bytes()


def test_two_patients_can_all_be_for_training(
    cohort: Path, tmp_path: Path, capsys: Captured
) -> None:
    for number in range(2):
        case = tmp_path / "kits19" / "data" / f"case_{number:05}"
        case.mkdir(parents=True)
        shutil.copy(cohort / f"volume-{number}.nii.gz", case / "imaging.nii.gz")
        shutil.copy(cohort / f"segmentation-{number}.nii.gz", case / "segmentation.nii.gz")
    words = ["prepare", str(tmp_path / "kits19"), str(tmp_path / "records"), "--size", "32", "32"]
    assert main(words) == 1
    assert "set a split to 0" in capsys.readouterr().err
    assert main([*words, "--test", "0", "--validation", "0"]) == 0
    expected = "16 slices of background, kidney, tumour; cases: 2 train, 0 validation, 0 test"
    assert expected in capsys.readouterr().out


def test_export_and_predict_are_repeated(
    models: Path, records: Path, cohort: Path, tmp_path: Path
) -> None:
    model, mask = tmp_path / "student.tflite", tmp_path / "mask.nii.gz"
    words = ["export", str(models / "fitting.keras"), str(model), "-r", str(records)]
    assert main([*words, "-q", "float16", "--calibration-slices", "9"]) == 0
    words = ["predict", str(model), str(cohort / "volume-0.nii.gz"), "-o", str(mask)]
    assert main([*words, "--threads", "1"]) == 0
    assert repeated("export", model).quantization == "float16"
    assert repeated("predict", mask).threads == 1
    labels = np.asarray(nib.load(mask).dataobj)
    for path in (model, model.with_suffix(".json"), mask):
        path.unlink()
    for verb, output in (("export", model), ("predict", mask)):
        assert main([verb, "--config", str(config_path(output))]) == 0
    np.testing.assert_array_equal(np.asarray(nib.load(mask).dataobj), labels)
    assert set(np.unique(labels)) == {0, 1, 2}
    truth = np.asarray(nib.load(cohort / "segmentation-0.nii.gz").dataobj)
    assert (labels == truth).mean() > 0.95


def test_evaluate_and_report_are_repeated(
    exported: Path, records: Path, tmp_path: Path, capsys: Captured
) -> None:
    scores = tmp_path / "evaluation" / "plain.json"
    words = ["evaluate", str(exported), str(records), "-o", str(scores), "--role", "plain"]
    assert main(words) == 0
    assert main(["report", str(tmp_path), "--records", str(records)]) == 0
    page = tmp_path / "report.html"
    assert capsys.readouterr().out.splitlines()[-1] == str(page)
    assert repeated("evaluate", scores).role == "plain"
    assert repeated("report", page).records == records
    for path in (scores, page):
        path.unlink()
    for verb, output in (("evaluate", scores), ("report", page)):
        assert main([verb, "--config", str(config_path(output))]) == 0
    assert scores.exists()
    assert "<html" in page.read_text("utf-8")
