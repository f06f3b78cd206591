"""A `dataset.json` by other hands."""

import json
from pathlib import Path

import numpy as np

from tests.records.conftest import make_patient, write_nifti
from tests.robustness.mutations import mutate_json
from tests.robustness.target import Target
from tfkd.records import find_source

__all__ = ["DatasetJson"]


class DatasetJson(Target):
    """An nnU-Net folder of three cases; only its `dataset.json` is spoilt."""

    name = "dataset.json"

    def setup(self) -> None:
        for case in range(3):
            image, mask = make_patient(case)
            write_nifti(self.folder / "whole" / "imagesTr" / f"c{case}_0000.nii.gz", image)
            write_nifti(self.folder / "whole" / "labelsTr" / f"c{case}.nii.gz", mask)
        self.documents = [
            {
                "channel_names": {"0": "CT"},
                "labels": {"background": 0, "liver": 1, "tumour": 2},
                "numTraining": 3,
                "file_ending": ".nii.gz",
            },
            {
                "modality": {"0": "CT"},
                "labels": {"0": "background", "1": "liver", "2": "tumour"},
                "training": [
                    {
                        "image": f"./imagesTr/c{case}.nii.gz",
                        "label": f"./labelsTr/c{case}.nii.gz",
                    }
                    for case in range(3)
                ],
                "test": [],
            },
        ]

    def mutate(self, rng: np.random.Generator, folder: Path) -> tuple[Path, str]:
        for name in ("imagesTr", "labelsTr"):
            (folder / name).symlink_to(self.folder / "whole" / name)
        document = self.documents[int(rng.integers(2))]
        content, said = mutate_json(rng, document)
        (folder / "dataset.json").write_bytes(content)
        return folder, said

    def read(self, path: Path) -> int:
        return len(find_source(path).cases)

    def judge(self, path: Path, description: str, found: object, told: bool) -> str:
        return "all cases" if found == 3 else "told" if told else "fewer cases"

    def names_file(self, path: Path, message: str) -> bool:
        return path.name in message or "dataset.json" in message

    def __repr__(self) -> str:
        return json.dumps(self.documents)
