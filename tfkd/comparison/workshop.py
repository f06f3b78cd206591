"""Makes rows: trains, scores and exports, one run after the other in one process."""

import gc
import json
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfkd.comparison.int8_file import measure_int8
from tfkd.comparison.jobs import Job, settings_of
from tfkd.comparison.machine import circumstances
from tfkd.comparison.scored_volumes import ScoredVolumes
from tfkd.errors import PlanError
from tfkd.volumes import atomic_path, sha256_of

if TYPE_CHECKING:
    import keras

    from tfkd.comparison.plan import Plan
    from tfkd.distillation import Distiller
    from tfkd.records import CTRecords, Manifest

__all__ = ["Workshop"]

Progress = Callable[[int, int, str], None]

_TRAINING_NAME = "training.json"
_INT8_NAME = "student_int8.tflite"


class Workshop:
    """What the runs of a comparison share: records, teachers, test volumes, calibration slices.

    Args:
        plan: The plan.
        manifest: Manifest of its records.
        folder: Folder of the comparison.
        verbose: How `fit` tells of itself, as in `keras.Model.fit`.
        progress_bar: Gives, for a title, a context with a function `progress(done, total, text)`.
    """

    MODEL_NAME = "model.keras"

    def __init__(
        self,
        plan: "Plan",
        manifest: "Manifest",
        folder: Path,
        *,
        verbose: int | str = 2,
        progress_bar: Callable[[str], AbstractContextManager[Progress | None]] | None = None,
    ) -> None:
        self._plan = plan
        self._manifest = manifest
        self._folder = folder
        self._verbose = verbose
        self._progress_bar = progress_bar or (lambda title: nullcontext())
        self._volumes: ScoredVolumes | None = None
        self._calibration: np.ndarray | None = None
        self._teachers: dict[str, keras.Model] = {}

    def model_path(self, job: Job) -> Path:
        """Where the network of a run lies, or is to lie."""
        if job.network.file is not None:
            return Path(job.network.file)
        return self._folder / job.folder / self.MODEL_NAME

    def is_trained(self, job: Job) -> bool:
        """Whether the network of a run is on this machine."""
        return self.model_path(job).exists()

    def check(self, jobs: list[Job]) -> None:
        """Builds every network and Distiller of the runs once, so that no error waits for hours.

        Args:
            jobs: Runs that are about to be made.

        Raises:
            PlanError: Naming the run that cannot be built.
        """
        import keras

        self._scored_volumes()
        data = self._data(jobs[0])
        built: dict[str, keras.Model] = {}
        for job in {one.group: one for one in jobs}.values():
            self._check_validation(job)
            try:
                for each in (job, *job.taught_by):
                    key = f"{each.kind == 'teacher'} {each.network.name}"
                    if key not in built:
                        built[key] = self._untrained(each, data)
                teachers = [built[f"True {one.network.name}"] for one in job.taught_by]
                self._distiller(
                    job, data, built[f"{job.kind == 'teacher'} {job.network.name}"], teachers
                )
            except (ValueError, TypeError) as error:
                raise PlanError(f"{job.title}: {error}") from error
        _forget()

    def make_row(self, job: Job) -> dict[str, Any]:
        """Trains what is not trained yet, scores it on whole volumes, and exports it if wished.

        Returns:
            The row: names, settings, Dice of every case and label, costs. No paths, no host.

        Raises:
            TrainingInterrupted: Upon SIGTERM, with the state saved.
            TrainingError: If the training fails.
        """
        start = time.monotonic()
        if not self.is_trained(job):
            self.train(job)
        trained = time.monotonic()
        network = self._load(job)
        dice = self._score(job, network)
        scored = time.monotonic()
        int8 = None
        if job.exports:
            path = self._folder / job.folder / _INT8_NAME
            slices = self._calibration_slices()
            int8 = measure_int8(network, path, self._manifest, slices, self._plan.threads)
        from tfkd.training import parameter_count

        training = self._training_facts(job)
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
            **training,
            "int8": int8,
            "seconds": {
                "training": training.get("seconds_training", round(trained - start, 1)),
                "scoring": round(scored - trained, 1),
                "export": round(time.monotonic() - scored, 1),
            },
            **circumstances(),
        }
        row.pop("seconds_training", None)
        del network
        _forget()
        return row

    def train(self, job: Job) -> None:
        """Trains a network, or goes on where its training was stopped, and saves it."""
        import keras

        from tfkd.callbacks import HistoryFile, RunCheckpoint, fit_resumable, save_network
        from tfkd.comparison.step_time import StepTime
        from tfkd.training import compile_for_training, finished_network

        _forget()
        folder, settings = self._folder / job.folder, job.settings
        folder.mkdir(parents=True, exist_ok=True)
        _write_json(
            folder / "run.json",
            {
                "run": job.title,
                "identity": job.identity,
                "settings": settings_of(job),
                "seed": job.seed,
            },
        )
        teachers = [self._teacher(one) for one in job.taught_by]
        keras.utils.set_random_seed(job.seed)
        data = self._data(job)
        student = self._untrained(job, data)
        distiller = self._distiller(job, data, student, teachers)
        if teachers and settings.cache_teacher:
            data = self._cached(distiller, data)
        compile_for_training(
            distiller,
            data,
            settings.epochs,
            settings.learning_rate,
            ema=settings.ema,
            xla=settings.xla,
        )
        step_time = StepTime()
        best, validation = self._best(job, folder, student, data)
        callbacks: list[Any] = [*best, HistoryFile(folder / "history.csv"), step_time]
        if settings.ema is not None:
            from tfkd.callbacks import AverageWeights

            callbacks.append(AverageWeights())
        checkpoint = RunCheckpoint(folder)
        position = checkpoint.position
        start = time.monotonic()
        fit_resumable(
            distiller,
            data,
            settings.epochs,
            folder=folder,
            validation_data=validation,
            callbacks=callbacks,
            every_minutes=settings.checkpoint_minutes,
            verbose=self._verbose,
        )
        steps = settings.epochs * data.steps_per_epoch
        done = position.epoch * data.steps_per_epoch + position.step
        # As if it had not been stopped, by what the rest has taken.
        seconds = (time.monotonic() - start) * steps / max(1, steps - done)
        if best and best[0].best_epoch is not None:
            student = keras.saving.load_model(best[0].path, compile=False)
        network = finished_network(student, data, settings.epochs, recalibrate=settings.recalibrate)
        milliseconds = step_time.median_ms
        _write_json(
            folder / _TRAINING_NAME,
            {
                "epochs": settings.epochs,
                "steps": steps,
                "ms_per_step": None if milliseconds is None else round(milliseconds, 3),
                "seconds_training": round(seconds, 1),
            },
        )
        # The network last: where it lies, the training is finished.
        save_network(network, folder / self.MODEL_NAME)
        checkpoint.remove()

    def _untrained(self, job: Job, data: "CTRecords") -> "keras.Model":
        from tfkd.training import build_network

        network = job.network
        if network.file is not None:
            return self._load(job)
        return build_network(
            network.network, data, network.width, job.settings.precision, **network.options
        )

    def _data(self, job: Job) -> "CTRecords":
        from tfkd import records

        settings = job.settings
        variation = {} if settings.augment else {"augmentation": None}
        return records.load(
            self._plan.records,
            batch_size=settings.batch_size,
            steps_per_epoch=settings.steps_per_epoch,
            seed=job.seed,
            **variation,
        )

    def _distiller(
        self, job: Job, data: "CTRecords", student: "keras.Model", teachers: "list[keras.Model]"
    ) -> "Distiller":
        from tfkd.distillation import Distiller, Teachers
        from tfkd.training import ramped_weights

        if job.method is None:
            # Without a teacher it trains from the labels alone, by the same code.
            return Distiller(None, student)
        losses, weights = job.method.build()
        steps = round(job.method.ramp_epochs * data.steps_per_epoch)
        taught_by: Any = teachers[0]
        if len(teachers) > 1:
            taught_by = Teachers(teachers, job.method.weighting)
        return Distiller(taught_by, student, losses, ramped_weights(weights, steps))

    def _cached(self, distiller: "Distiller", data: "CTRecords") -> "CTRecords":
        from tfkd.distillation import cache_teacher

        with self._progress_bar("teacher cache") as progress:
            return cache_teacher(distiller, data, progress=progress)

    def _best(
        self, job: Job, folder: Path, student: "keras.Model", data: "CTRecords"
    ) -> tuple[list[Any], Any]:
        """Who keeps the best epoch, and validation data, if the settings ask for them."""
        from tfkd.callbacks import BestStudent

        if job.settings.keep == "last":
            return [], None
        return [BestStudent(folder, student)], data.validation

    def _check_validation(self, job: Job) -> None:
        if job.settings.keep == "best" and not self._manifest.splits.get("validation"):
            raise PlanError(
                f'{job.title}: expected validation cases in {self._plan.records} for keep="best", '
                'found none. Keep "last", or prepare records with --validation.'
            )

    def _teacher(self, job: Job) -> "keras.Model":
        if job.identity not in self._teachers:
            self._teachers[job.identity] = self._load(job)
        return self._teachers[job.identity]

    def _load(self, job: Job) -> "keras.Model":
        from tfkd.training import load_network

        path, network = self.model_path(job), job.network
        if network.sha256 is not None and path.is_file() and sha256_of(path) != network.sha256:
            raise PlanError(
                f"[teachers.{network.name}] sha256: expected the checksum of {path}, "
                f"{sha256_of(path)}. Received {network.sha256}."
            )
        return load_network(path)

    def _score(self, job: Job, network: "keras.Model") -> dict[str, list[float | None]]:
        from tfkd.export import keras_predictor

        predictor = keras_predictor(network, self._manifest.spec, self._manifest.label_names)
        with self._progress_bar(f"score {job.title}") as progress:
            return self._scored_volumes().dice(predictor, progress)

    def _scored_volumes(self) -> ScoredVolumes:
        if self._volumes is None:
            self._volumes = ScoredVolumes(self._manifest, self._plan.source)
        return self._volumes

    def _calibration_slices(self) -> np.ndarray:
        if self._calibration is None:
            from tfkd import records

            self._calibration = records.load(self._plan.records).calibration()
        return self._calibration

    def _training_facts(self, job: Job) -> dict[str, Any]:
        path = self._folder / job.folder / _TRAINING_NAME
        if job.network.file is not None or not path.exists():
            return {"epochs": None, "steps": None, "ms_per_step": None}
        return json.loads(path.read_text(encoding="utf-8"))


def mean_dice(dice: Mapping[str, list[float | None]]) -> float | None:
    """Mean over the labels of the mean over the cases, as the report has it; None for no score."""
    columns = zip(*dice.values(), strict=True)
    means = [
        float(np.mean(scores))
        for column in columns
        if (scores := [score for score in column if score is not None])
    ]
    return round(float(np.mean(means)), 6) if means else None


def _forget() -> None:
    """Frees the networks and functions of the run before; teachers and records stay."""
    import keras

    keras.utils.clear_session()
    gc.collect()


def _write_json(path: Path, facts: Mapping[str, Any]) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", "utf-8")
