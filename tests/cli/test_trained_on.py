"""Every verb that takes a network and records compares what the two are of."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tfkd.cli.main import main
from tfkd.models import load_network, save_network
from tfkd.records import Manifest
from tfkd.volumes import DataFacts, PreprocessSpec


@pytest.fixture(scope="module")
def networks(models: Path, records: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fitting network, as one trained on the records, and on two other ones."""
    folder = tmp_path_factory.mktemp("known")
    facts = Manifest.load(records).facts
    wide = PreprocessSpec(size=facts.spec.size, window_hu=(-1000, 1000))
    names = ("background", "kidney", "tumour")
    for name, one in {
        "same": facts,
        "wide": DataFacts(wide, facts.label_names),
        "kidney": DataFacts(facts.spec, names),
    }.items():
        save_network(load_network(models / "fitting.keras"), folder / f"{name}.keras", one)
    return folder


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("wide", "window_hu (-1000, 1000) instead of (-60, 140)"),
        ("kidney", "label_names (background, kidney, tumour) instead of"),
    ],
)
@pytest.mark.parametrize("verb", ["distill", "evaluate", "export"])
def test_a_network_of_other_data_is_refused(
    verb: str,
    name: str,
    words: str,
    networks: Path,
    records: Path,
    tmp_path: Path,
    fail: Callable[..., str],
) -> None:
    path = networks / f"{name}.keras"
    out = tmp_path / "out"
    command: dict[str, list[str | Path]] = {
        "distill": ["distill", records, out, "--teacher", path],
        "evaluate": ["evaluate", path, records, "-o", out.with_suffix(".json")],
        "export": ["export", path, out.with_suffix(".tflite"), "-r", records],
    }
    fail(command[verb], path, words)
    assert not list(tmp_path.iterdir())


def test_a_network_that_does_not_say_is_taken_with_a_line(
    models: Path, networks: Path, records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = []
    for path in (models / "fitting.keras", networks / "same.keras"):
        out = tmp_path / f"{path.stem}.json"
        words = ["evaluate", path, records, "-o", out, "--no-masks"]
        assert main([str(word) for word in words]) == 0
        said.append("does not say what the network was trained on" in capsys.readouterr().out)
    assert said == [True, False]


def test_a_file_is_evaluated_on_its_own_input(
    own_export: Path, records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    contract = own_export.with_suffix(".json")
    contract.write_text(contract.read_text().replace("140.0", "150.0"))
    words = ["evaluate", own_export, records, "-o", tmp_path / "a.json", "--no-masks"]
    assert main([str(word) for word in words]) == 0
    assert "window_hu (-60, 150) instead of (-60, 140)" in capsys.readouterr().out


def test_a_card_is_of_the_student_of_the_file(
    networks: Path, exported: Path, records: Path, tmp_path: Path, fail: Callable[..., str]
) -> None:
    path = networks / "wide.keras"
    (networks / "run.json").write_text("{}")
    out = tmp_path / "student.zip"
    fail(["bundle", exported, out, "--student", path], path, "window_hu", exported)
