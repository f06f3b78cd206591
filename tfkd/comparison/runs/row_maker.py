"""Makes rows: trains, scores on whole volumes, and exports."""

import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfkd.comparison.runs.int8_file import measure_int8
from tfkd.comparison.runs.job import Job, settings_of
from tfkd.comparison.runs.provenance import provenance
from tfkd.comparison.runs.trainer import ProgressBar, Trainer, forget
from tfkd.evaluation import CaseDice, VolumeScorer

if TYPE_CHECKING:
    import keras

    from tfkd.comparison.plan.plan import Plan
    from tfkd.records import Manifest

__all__ = ["RowMaker", "mean_dice"]

_INT8_NAME = "student_int8.tflite"


class RowMaker:
    """What the rows of a comparison are made with: the trainer, test volumes, calibration slices.

    Args:
        plan: The plan.
        manifest: Manifest of its records.
        folder: Folder of the comparison.
        verbose: How `fit` tells of itself, as in `keras.Model.fit`.
        progress_bar: Shows how far long work is.

    Raises:
        RecordError: If there are no test volumes, or one is gone.
    """

    def __init__(
        self,
        plan: "Plan",
        manifest: "Manifest",
        folder: Path,
        *,
        verbose: int | str = 2,
        progress_bar: ProgressBar | None = None,
    ) -> None:
        self.trainer = Trainer(plan, manifest, folder, verbose=verbose, progress_bar=progress_bar)
        self._plan = plan
        self._manifest = manifest
        self._folder = folder
        self._progress_bar = progress_bar or (lambda title: nullcontext())
        # Now, since volumes that are gone should not be noticed after the first training.
        cases = manifest.case_files("test", plan.source, verify=True)
        self._scorer = VolumeScorer(manifest, cases)
        self._calibration: np.ndarray | None = None

    def make_row(self, job: Job) -> dict[str, Any]:
        """Trains what is not trained yet, scores it on whole volumes, and exports it if wished.

        Returns:
            The row: names, settings, Dice of every case and label, costs. No paths, no host.

        Raises:
            TrainingInterrupted: Upon SIGTERM, with the state saved.
            TrainingError: If the training fails.
        """
        start = time.monotonic()
        if not self.trainer.is_trained(job):
            self.trainer.train(job)
        trained = time.monotonic()
        network = self.trainer.load(job)
        dice = self._score(job, network)
        scored = time.monotonic()
        int8 = self._measure_int8(job, network) if job.exports else None
        from tfkd.models import fingerprint
        from tfkd.training import parameter_count

        training = self.trainer.facts(job)
        row = {
            "identity": job.identity,
            "kind": job.kind,
            "network": job.network.name,
            "method": job.method_name,
            "teachers": list(job.teachers),
            "seed": job.seed,
            "settings": settings_of(job),
            "records": self._manifest.name,
            "label_names": list(self._manifest.label_names),
            "dice": dice,
            "mean_dice": mean_dice(dice),
            "parameters": parameter_count(network),
            **({"fingerprint": fingerprint(network)} if job.kind == "teacher" else {}),
            **training,
            "int8": int8,
            "seconds": {
                "training": training.get("seconds_training", round(trained - start, 1)),
                "scoring": round(scored - trained, 1),
                "export": round(time.monotonic() - scored, 1),
            },
            **provenance(),
        }
        row.pop("seconds_training", None)
        del network
        forget()
        return row

    def add_file(self, job: Job, row: Mapping[str, Any]) -> dict[str, Any]:
        """Makes the int8 file of a run that was finished without, of the network that was kept.

        Args:
            job: The run.
            row: Its row.

        Returns:
            The row with the file's figures, and where and when these were measured.
        """
        start = time.monotonic()
        network = self.trainer.load(job)
        int8 = self._measure_int8(job, network) | provenance()
        seconds = {**row["seconds"], "export": round(time.monotonic() - start, 1)}
        del network
        forget()
        return {**row, "int8": int8, "seconds": seconds}

    def _score(self, job: Job, network: "keras.Model") -> CaseDice:
        from tfkd.export import keras_predictor

        manifest = self._manifest
        predictor = keras_predictor(
            network, manifest.spec, manifest.label_names, threshold=manifest.protocol.threshold
        )
        with self._progress_bar(f"score {job.title}") as progress:
            return self._scorer.dice(predictor, progress)

    def _measure_int8(self, job: Job, network: "keras.Model") -> dict[str, Any]:
        """What `measure_int8` says of the student's file, and the Dice of that file itself."""
        from tfkd.inference import Predictor

        path = self._folder / job.folder / _INT8_NAME
        slices = self._calibration_slices()
        facts = measure_int8(network, path, self._manifest, slices, self._plan.threads)
        if "error" in facts:
            return facts
        with self._progress_bar(f"score the int8 file of {job.title}") as progress:
            dice = self._scorer.dice(Predictor(path), progress)
        return {**facts, "dice": dice, "mean_dice": mean_dice(dice)}

    def _calibration_slices(self) -> np.ndarray:
        if self._calibration is None:
            from tfkd import records

            self._calibration = records.load(self._plan.records).calibration()
        return self._calibration


def mean_dice(dice: CaseDice) -> float | None:
    """Mean over the labels of the mean over the cases, as the report has it; None for no score."""
    columns = zip(*dice.values(), strict=True)
    means = [
        float(np.mean(scores))
        for column in columns
        if (scores := [score for score in column if score is not None])
    ]
    return round(float(np.mean(means)), 6) if means else None
