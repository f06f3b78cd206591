"""`tfkd demo` at toy size, killed twice on the way: volumes in, checked files and a report out."""

import contextlib
import csv
import io
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import nibabel as nib
import numpy as np
import pytest
from keras import layers

from tfkd.callbacks import HistoryFile
from tfkd.cli import demo, distill, evaluate, export, prepare, report, train
from tfkd.cli.config import config_path, read_config
from tfkd.cli.main import main
from tfkd.evaluation import Evaluation
from tfkd.inference import Predictor
from tfkd.records import Manifest

ROLES = ("teacher", "plain", "distilled", "float32", "int8")
VERBS = {
    module.__name__.rsplit(".")[-1]: module
    for module in (prepare, train, distill, export, evaluate, report, demo)
}
STEPS = [
    "CT volumes to records",
    "Teacher: UNet",
    "Plain student: UNet, without the teacher",
    "Distilled student: UNet, for as many epochs, with the teacher",
    "Export: float32",
    "Export: int8",
    "Evaluate: teacher",
    "Evaluate: plain student",
    "Evaluate: distilled student",
    "Evaluate: float32 file",
    "Evaluate: int8 file",
    "Report",
]
# After two steps a network is sure of nothing, and int8 rounds many pixels to another label.
SETTINGS = [
    *("--patients", "5", "--size", "64", "--steps-per-epoch", "2", "--min-agreement", "0.3"),
    *("--teacher", "UNet", "--teacher-width", "0.125", "--teacher-epochs", "1"),
    *("--student", "UNet", "--student-width", "0.0625", "--student-epochs", "2"),
]


def small_network(
    name: str, input_shape: tuple[int, int, int], num_classes: int, width: float
) -> keras.Model:
    """In place of every network, as it takes moments to build; the wider, the more weights."""
    image = keras.Input(input_shape, name="image")
    channels = round(256 * width)
    x = layers.Conv2D(channels, 3, 2, padding="same", name="low")(image)
    x = layers.ReLU(name="tap_low")(layers.BatchNormalization(name="low_bn")(x))
    x = layers.Conv2D(channels, 3, 4, padding="same", name="high")(x)
    x = layers.ReLU(name="tap_high")(layers.BatchNormalization(name="high_bn")(x))
    x = layers.UpSampling2D(8, interpolation="bilinear", name="up")(x)
    x = layers.Concatenate(name="both")([image, x])
    return keras.Model(image, layers.Conv2D(num_classes, 1, name="logits")(x), name=name.lower())


@dataclass(frozen=True)
class Attempt:
    """One call of the command."""

    status: int
    output: str

    @property
    def steps(self) -> list[str]:
        """What it said that it did."""
        return re.findall(r"^== (.+)$", self.output, re.MULTILINE)


@dataclass(frozen=True)
class Run:
    """A finished run, and the attempts that it took."""

    out: Path
    attempts: tuple[Attempt, ...]

    def evaluation(self, role: str) -> Evaluation:
        """A row of the report."""
        return Evaluation.load(self.out / "evaluation" / f"{role}.json")


def attempt(*words: str | Path) -> Attempt:
    with contextlib.redirect_stdout(io.StringIO()) as output:
        status = main(["demo", *map(str, words)])
    return Attempt(status, output.getvalue())


def interrupt_second_epoch(self: Any, epoch: int, logs: Any = None) -> None:
    if epoch == 1 and "distilled" in str(self.path):
        raise KeyboardInterrupt


def interrupt_int8(config: export.Config, run: Any = export.run) -> None:
    if config.quantization == "int8":
        raise KeyboardInterrupt
    run(config)


@pytest.fixture(scope="module", autouse=True)
def _small():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tfkd.models.build", small_network)
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that was interrupted in the distillation, and again before an export."""
    out = tmp_path_factory.mktemp("whole-way") / "run"
    words = ["--out", out, *SETTINGS]
    attempts = []
    for target, name, interrupt in (
        (HistoryFile, "on_epoch_begin", interrupt_second_epoch),
        (export, "run", interrupt_int8),
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(target, name, interrupt)
            attempts.append(attempt(*words))
    return Run(out, (*attempts, attempt(*words)))


def files(folder: Path) -> dict[str, int]:
    """Every file below a folder, and when it was written."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in paths}


def test_ends_with_the_table_and_the_report(finished: Run) -> None:
    last = finished.attempts[-1]
    assert last.status == 0
    assert str(finished.out / "report.html") in last.output.splitlines()
    page = (finished.out / "report.html").read_text("utf-8")
    for role in ROLES:
        name = finished.evaluation(role).name
        assert f"| {name} " in last.output
        assert name in page
    assert 'src="data:image' in page
    assert not re.search(r'(src|href)="(http|/)', page)


def test_every_row_is_scored_on_the_test_patient_with_its_costs(finished: Run) -> None:
    rows = {role: finished.evaluation(role) for role in ROLES}
    (case_id,) = {row.case_id for role in ROLES for row in rows[role].table.rows}
    manifest = (finished.out / "records" / "manifest.json").read_text("utf-8")
    assert re.search(rf'"test": \[\s*"{case_id}"\s*\]', manifest)
    for role, row in rows.items():
        assert row.role == role
        assert row.model.parameters
        assert row.model.file_bytes
        assert row.model.ms_per_slice
    students = {rows[role].model.parameters for role in ROLES[1:]}
    assert students == {rows["plain"].model.parameters}
    assert rows["teacher"].model.parameters > 2 * rows["plain"].model.parameters
    assert rows["int8"].model.file_bytes < rows["float32"].model.file_bytes


def test_students_have_few_masks_and_all_ct(finished: Run) -> None:
    own = Manifest.load(finished.out / "records")
    students = Manifest.load(finished.out / "student_records")
    assert students.splits == own.splits
    masks = [students.case(name).mask for name in students.splits["train"]]
    assert (len(masks), masks.count(None)) == (3, 2)
    assert not own.unlabelled_slices_of("train")
    used = {
        name: tomllib.loads((finished.out / name / "config.toml").read_text("utf-8"))["records"]
        for name in ("teacher", "plain_student", "distilled_student")
    }
    assert used["teacher"] == str(finished.out / "records")
    assert used["plain_student"] == str(finished.out / "student_records")
    assert used["distilled_student"] == used["plain_student"]
    page = (finished.out / "report.html").read_text("utf-8")
    assert "UNet to UNet on phantoms, students with 1 of 3 masks" in page


@pytest.mark.parametrize(
    ("given", "share"),
    [({}, 0.15), ({"data": Path("ct")}, 1.0), ({"data": Path("ct"), "student_masks": 0.5}, 0.5)],
)
def test_of_ones_own_data_every_mask_is_used(given: dict[str, Any], share: float) -> None:
    config = read_config(demo.Config, "demo", {"out": Path("out"), **given})
    assert config.student_masks == share


@pytest.mark.parametrize("share", ["0", "1.5"])
def test_a_share_of_masks_that_is_none_is_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], share: str
) -> None:
    assert attempt("--out", tmp_path / "run", "--student-masks", share).status == 1
    assert f"above 0, up to 1, received {float(share)}" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_masks_lie_on_the_ct(finished: Run) -> None:
    masks = {}
    for role in ROLES:
        (path,) = (finished.out / "evaluation" / role).iterdir()
        mask, image = nib.load(path), nib.load(finished.out / "phantoms" / path.name)
        assert mask.shape == image.shape
        np.testing.assert_array_equal(mask.affine, image.affine)
        assert mask.get_data_dtype() == np.uint8
        masks[role] = np.asarray(mask.dataobj)
    assert (masks["float32"] == masks["distilled"]).mean() > 0.999


def test_the_files_know_what_they_are(finished: Run) -> None:
    for quantization in ("float32", "int8"):
        predictor = Predictor(finished.out / "export" / f"student_{quantization}.tflite")
        assert predictor.contract.quantization == quantization
        assert predictor.label_names == ("background", "liver", "tumour")
        assert predictor.check() > 0.99


def test_a_killed_run_goes_on_from_where_it_was(finished: Run) -> None:
    first, second, third = finished.attempts
    assert (first.status, second.status, third.status) == (130, 130, 0)
    assert first.steps == STEPS[:4]
    assert second.steps == STEPS[3:6]
    assert third.steps == STEPS[5:]
    # The first epoch was not done again, and both are in the history.
    assert "Epoch 1/2" not in second.output
    assert "Epoch 2/2" in second.output
    histories = []
    for student in ("plain_student", "distilled_student"):
        with open(finished.out / student / "history.csv", newline="") as file:
            histories.append(list(csv.DictReader(file)))
    plain, distilled = histories
    assert [row["epoch"] for row in plain] == [row["epoch"] for row in distilled] == ["0", "1"]
    assert {"student_loss", "overlap"} < distilled[1].keys() - plain[1].keys()


def test_a_log_has_no_moving_bars(finished: Run) -> None:
    for one in finished.attempts:
        assert not {"\x1b", "\x08", "\r"} & set(one.output)


def test_nothing_unfinished_is_left(finished: Run) -> None:
    names = [path.name for path in finished.out.rglob("*")]
    assert not [name for name in names if name.startswith(".") or name.endswith(".partial")]
    assert "checkpoint.npz" not in names


def test_settings_lie_beside_every_output(finished: Run) -> None:
    found = sorted(finished.out.rglob("*config.toml"))
    assert len(found) == 1 + 2 + 3 + 2 + 5 + 1
    for path in found:
        verb = tomllib.loads(path.read_text("utf-8"))["command"]
        config = read_config(VERBS[verb].Config, verb, {"config": path})
        output = config.run / "report.html" if verb == "report" else config.out
        assert config_path(output) == path


def test_again_does_nothing_but_the_report(finished: Run) -> None:
    before = files(finished.out)
    again = attempt("--config", finished.out / "config.toml")
    assert (again.status, again.steps) == (0, STEPS[-1:])
    after = files(finished.out)
    assert before.keys() == after.keys()
    written = {name for name in before if before[name] != after[name]}
    assert written == {"config.toml", "report.html", "report.config.toml"}


def test_a_lost_result_is_made_again_and_no_other(finished: Run) -> None:
    before = files(finished.out)
    (finished.out / "evaluation" / "plain.json").unlink()
    again = attempt("--config", finished.out / "config.toml")
    assert (again.status, again.steps) == (0, ["Evaluate: plain student", "Report"])
    unchanged = ("teacher/", "plain_student/", "distilled_student/", "export/", "records/")
    for name, written in files(finished.out).items():
        assert written == before[name] or not name.startswith(unchanged)


def test_other_settings_are_refused(finished: Run, capsys: pytest.CaptureFixture[str]) -> None:
    before = files(finished.out)
    words = ["--config", finished.out / "config.toml", "--teacher-epochs", "3"]
    assert attempt(*words).status == 1
    assert "teacher_epochs 1, not 3" in capsys.readouterr().err
    assert files(finished.out) == before


def test_a_folder_of_an_earlier_version_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "records").mkdir()
    (tmp_path / "config.toml").write_text('command = "demo"\nregion_weight = 0.9\n')
    assert attempt("--out", tmp_path).status == 1
    said = capsys.readouterr().err
    assert f"{tmp_path}: expected work that this version of tfkd has begun" in said
    assert "unknown setting region_weight" in said
