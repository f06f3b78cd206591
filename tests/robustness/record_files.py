"""Records: the manifest, and shards; every slice is read."""

import json
import shutil
from pathlib import Path

import numpy as np

from tests.records.conftest import SPEC, SPLIT, write_cohort
from tests.robustness.mutations import mutate_bytes, mutate_json
from tests.robustness.target import Failed, Target
from tfkd.records import prepare

__all__ = ["Records"]


class Records(Target):
    """Four patients; the manifest or one shard is spoilt."""

    name = "records"

    def setup(self) -> None:
        cohort = write_cohort(self.folder / "lits")
        self.whole = self.folder / "records"
        prepare(cohort, self.whole, SPEC, split=SPLIT)
        self.manifest = json.loads((self.whole / "manifest.json").read_text("utf-8"))
        self.slices = self.read(self.whole)

    def mutate(self, rng: np.random.Generator, folder: Path) -> tuple[Path, str]:
        path = folder / "records"
        shutil.copytree(self.whole, path)
        if rng.integers(2):
            content, said = mutate_json(rng, self.manifest)
            (path / "manifest.json").write_bytes(content)
            return path, f"manifest, {said}"
        shards = sorted(path.glob("*.tfrecord*"))
        shard = shards[int(rng.integers(len(shards)))]
        if not rng.integers(8) and len(shards) > 1:
            other = shards[(shards.index(shard) + 1) % len(shards)]
            shutil.copy(self.whole / other.name, shard)
            return path, f"shard, {shard.name} is {other.name}"
        content, said = mutate_bytes(rng, shard.read_bytes())
        shard.write_bytes(content)
        return path, f"shard, {shard.name}, {said}"

    def read(self, path: Path) -> list[tuple[str, int, bytes, bytes]]:
        from tfkd.records import load

        data = load(path)
        return [
            (e.case_id, e.slice_index, e.image_hu.tobytes(), e.mask.tobytes())
            for split in ("train", "validation", "test")
            for e in (data.examples(split) if data.manifest.splits[split] else ())
        ]

    def judge(self, path: Path, description: str, found: object, told: bool) -> str:
        if found == self.slices:
            return "same"
        if description.startswith("shard"):
            raise Failed("other slices, although shards have checksums")
        return "as it says"

    def names_file(self, path: Path, message: str) -> bool:
        return path.name in message or "case" in message
