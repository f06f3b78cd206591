"""Settings, plans and evaluations."""

import json
from pathlib import Path

import numpy as np

from tests.robustness.mutations import mutate_json, mutate_text
from tests.robustness.target import Target
from tfkd.cli import prepare, train
from tfkd.cli.config import read_config
from tfkd.comparison import read_plan
from tfkd.evaluation import Evaluation, ModelInfo
from tfkd.metrics import CaseTable

__all__ = ["Evaluations", "Plans", "Settings"]

_PLAN = """\
records = "records/lits"
seeds = [0, 1, 2]
[training]
epochs = 20
learning_rate = 0.005
[teachers.raunet]
network = "RAUNet"
width = 0.5
[students.enet]
network = "ENet"
width = 0.25
[methods.cwd]
preset = "cwd"
weight = 3.0
"""
_SETTINGS = {
    "prepare": ('source = "lits"\nout = "out"\nsize = [64, 64]\nwindow = [-60.0, 140.0]\n'),
    "train": ('records = "r"\nout = "out"\nepochs = 3\nlearning_rate = 0.1\naugment = true\n'),
}


class Settings(Target):
    """The TOML files of two verbs."""

    name = "settings"

    def setup(self) -> None:
        pass

    def mutate(self, rng: np.random.Generator, folder: Path) -> tuple[Path, str]:
        verb = list(_SETTINGS)[int(rng.integers(2))]
        content, said = mutate_text(rng, _SETTINGS[verb])
        path = folder / f"{verb}.toml"
        path.write_bytes(content)
        return path, f"{verb}, {said}"

    def read(self, path: Path) -> object:
        verb = {"prepare": prepare, "train": train}[path.stem]
        return read_config(verb.Config, path.stem, {"config": path})

    def names_file(self, path: Path, message: str) -> bool:
        return path.name in message or message.startswith("expected ")  # what is not said


class Plans(Target):
    """A plan of a comparison."""

    name = "plan"

    def setup(self) -> None:
        pass

    def mutate(self, rng: np.random.Generator, folder: Path) -> tuple[Path, str]:
        content, said = mutate_text(rng, _PLAN)
        path = folder / "plan.toml"
        path.write_bytes(content)
        return path, said

    def read(self, path: Path) -> object:
        return read_plan(path)


class Evaluations(Target):
    """What `tfkd evaluate` wrote."""

    name = "evaluation"

    def setup(self) -> None:
        table = CaseTable((), ("background", "liver"))
        mask = np.eye(4, dtype=np.uint8)[None]
        for case in range(2):
            table = table.with_case(f"case-{case}", mask, mask, 0.1)
        path = self.folder / "whole.json"
        Evaluation(ModelInfo("m", "int8"), table, 1.5).save(path)
        self.document = json.loads(path.read_text("utf-8"))

    def mutate(self, rng: np.random.Generator, folder: Path) -> tuple[Path, str]:
        content, said = mutate_json(rng, self.document)
        path = folder / "scores.json"
        path.write_bytes(content)
        return path, said

    def read(self, path: Path) -> object:
        from tfkd.report import format_table

        return format_table([Evaluation.load(path)])
