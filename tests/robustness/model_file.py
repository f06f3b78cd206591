"""An exported student: its contract, its bytes, and a bundle of both."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np

from tests.robustness.mutations import mutate_bytes, mutate_json
from tests.robustness.target import Failed, Target
from tfkd.inference import Contract, Predictor, open_bundle
from tfkd.volumes import Volume, canonical_affine

__all__ = ["Bundle", "ModelFile"]

SHIPPED = Path(__file__).resolve().parents[2] / "saved_models" / "phantom_student_int8.tflite"


class ModelFile(Target):
    """The shipped student; the file that is read is the contract, or the model beside it."""

    name = "contract"

    def setup(self) -> None:
        self.document = json.loads(SHIPPED.with_suffix(".json").read_text("utf-8"))
        self.model = SHIPPED.read_bytes()
        array = np.random.default_rng(0).integers(-200, 300, (2, 40, 40)).astype(np.int16)
        self.ct = Volume(array, canonical_affine((3.0, 1.0, 1.0)), "ct")
        self.mask = Predictor(SHIPPED, threads=1)(self.ct).array

    def mutate(self, rng: np.random.Generator, folder: Path) -> tuple[Path, str]:
        path = folder / "student.tflite"
        if rng.integers(4):
            path.write_bytes(self.model)
            content, said = mutate_json(rng, self.document)
            path.with_suffix(".json").write_bytes(content)
            return path, f"contract, {said}"
        content, said = mutate_bytes(rng, self.model)
        path.write_bytes(content)
        shutil.copy(SHIPPED.with_suffix(".json"), path.with_suffix(".json"))
        return path, f"model, {said}"

    def read(self, path: Path) -> np.ndarray:
        return Predictor(path, threads=1)(self.ct).array

    def judge(self, path: Path, description: str, found: object, told: bool) -> str:
        if description.startswith("model"):
            raise Failed("a model was run that is not the contract's")
        return "same" if np.array_equal(found, self.mask) else "as it says"

    def names_file(self, path: Path, message: str) -> bool:
        return path.stem in message


class Bundle(Target):
    """A .zip of the shipped student: its bytes, and its members."""

    name = "bundle"

    def setup(self) -> None:
        self.members = {
            "model.tflite": SHIPPED.read_bytes(),
            "model.json": SHIPPED.with_suffix(".json").read_bytes(),
            "MODEL_CARD.md": b"# A card\n",
        }
        record = json.loads(self.members["model.json"]) | {"file": "model.tflite"}
        self.members["model.json"] = json.dumps(record).encode()
        self.whole = self.folder / "whole.zip"
        self._write(self.whole, list(self.members.items()))

    def _write(self, path: Path, members: list[tuple[str, bytes]]) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members:
                info = zipfile.ZipInfo(name)
                info.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(info, content)

    def mutate(self, rng: np.random.Generator, folder: Path) -> tuple[Path, str]:
        path = folder / "student.zip"
        if rng.integers(2):
            content, said = mutate_bytes(rng, self.whole.read_bytes())
            path.write_bytes(content)
            return path, f"bytes, {said}"
        members = list(self.members.items())
        at = int(rng.integers(len(members)))
        name, content = members[at]
        odd = ("../x.json", "/x.json", "a/b.tflite", "x.py", "", "model.JSON", "a\\b.json", name)
        kind = int(rng.integers(4))
        if kind == 0:
            del members[at]
            said = f"without {name}"
        elif kind == 1:
            members[at] = (odd[int(rng.integers(len(odd)))], content)
            said = f"{name} is called {members[at][0]!r}"
        elif kind == 2:
            members.append((odd[int(rng.integers(len(odd)))], b"x"))
            said = f"and a member {members[-1][0]!r}"
        else:
            members[at] = (name, b"\0" * 3_000_000)
            said = f"{name} is zeros"
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a name twice
            self._write(path, members)
        return path, said

    def read(self, path: Path) -> bytes:
        with open_bundle(path) as file:
            Contract.load(file)
            return file.read_bytes()

    def judge(self, path: Path, description: str, found: object, told: bool) -> str:
        if found != self.members["model.tflite"]:
            raise Failed("another model was read")
        return "same"
