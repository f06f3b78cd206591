"""Trains the networks of a comparison, one after the other in one process."""

import contextlib
import ctypes
import gc
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfkd.comparison.runs.job import Job, settings_of
from tfkd.comparison.runs.teacher_records import teacher_manifest
from tfkd.errors import PlanError, TrainingError
from tfkd.files import parse_json
from tfkd.volumes import atomic_path, sha256_of

if TYPE_CHECKING:
    import keras

    from tfkd.comparison.plan.plan import Plan
    from tfkd.distillation import Distiller
    from tfkd.records import CTRecords, Manifest

__all__ = ["ProgressBar", "Trainer", "forget"]

ProgressBar = Callable[[str], AbstractContextManager[Callable[[int, int, str], None] | None]]
"""Gives, for a title, a context with a function `progress(done, total, text)`, or None."""

_TRAINING_NAME = "training.json"


class Trainer:
    """Trains runs, each in a folder of its own, and knows which are trained.

    Args:
        plan: The plan.
        manifest: Manifest of its records.
        folder: Folder of the comparison.
        verbose: How `fit` tells of itself, as in `keras.Model.fit`.
        progress_bar: Shows how far long work is.
    """

    MODEL_NAME = "model.keras"

    def __init__(
        self,
        plan: "Plan",
        manifest: "Manifest",
        folder: Path,
        *,
        verbose: int | str = 2,
        progress_bar: ProgressBar | None = None,
    ) -> None:
        self._plan = plan
        self._manifest = manifest
        self._folder = folder
        self._verbose = verbose
        self._progress_bar = progress_bar or (lambda title: nullcontext())
        self._teachers: dict[str, keras.Model] = {}

    def model_path(self, job: Job) -> Path:
        """Where the network of a run lies, or is to lie."""
        if job.network.file is not None:
            return Path(job.network.file)
        return self._folder / job.folder / self.MODEL_NAME

    def is_trained(self, job: Job) -> bool:
        """Whether the network of a run is on this machine."""
        return self.model_path(job).exists()

    def keeps(self, job: Job, row: Mapping[str, Any]) -> bool:
        """Whether the network that a row is of is on this machine.

        One that was trained anew is not: what its training has cost tells it apart.
        """
        facts = self.facts(job)
        facts.pop("seconds_training", None)  # the row has it elsewhere
        same = all(row.get(key) == facts[key] for key in facts)
        return self.is_trained(job) and same and row["ms_per_step"] is not None

    def check(self, jobs: list[Job]) -> None:
        """Builds every network and Distiller of the runs once, so that no error waits for hours.

        Args:
            jobs: Runs that are about to be made.

        Raises:
            PlanError: Naming the run that cannot be built.
        """
        import keras

        data = self._data(jobs[0])
        built: dict[tuple[str, str], keras.Model] = {}
        for job in {one.group: one for one in jobs}.values():
            self._check_validation(job)
            self._check_unlabelled(job)
            try:
                for each in (job, *job.taught_by):
                    if _key(each) not in built:
                        built[_key(each)] = self._untrained(each, data)
                teachers = [built[_key(one)] for one in job.taught_by]
                self._distiller(job, data, built[_key(job)], teachers)
            except (OSError, ValueError, TypeError) as error:
                raise PlanError(f"{job.title}: {error}") from error
        forget()

    def train(self, job: Job) -> None:
        """Trains a network, or goes on where its training was stopped, and saves it.

        Raises:
            TrainingInterrupted: Upon SIGTERM, with the state saved.
            TrainingError: If the training fails, or ends with weights that are not finite.
        """
        import keras

        from tfkd.callbacks import RunCheckpoint
        from tfkd.models import save_network
        from tfkd.training import compile_for_training

        forget()
        folder, settings = self._folder / job.folder, job.settings
        facts = {"run": job.title, "identity": job.identity, "seed": job.seed}
        _write_json(folder / "run.json", {**facts, "settings": settings_of(job)})
        teachers = [self._teacher(one) for one in job.taught_by]
        taught_by = {"taught_by": self.fingerprints(job.taught_by)} if teachers else {}
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
            gamma=settings.focal_gamma,
            dice_share=settings.dice_share,
            dice_squares=settings.dice_squares,
        )
        network, facts = self._fit(job, folder, distiller, data)
        _write_json(folder / _TRAINING_NAME, facts | taught_by)
        # The network last: where it lies, the training is finished.
        save_network(network, folder / self.MODEL_NAME)
        RunCheckpoint(folder).remove()

    def _fit(
        self, job: Job, folder: Path, distiller: "Distiller", data: "CTRecords"
    ) -> "tuple[keras.Model, dict[str, Any]]":
        """The trained network, and what the training has cost."""

        from tfkd.callbacks import (
            AverageWeights,
            BestStudent,
            HistoryFile,
            RunCheckpoint,
            fit_resumable,
        )
        from tfkd.comparison.runs.step_time import StepTime
        from tfkd.distillation import FreezeCheck
        from tfkd.training import finished_network, load_network

        settings, student = job.settings, distiller.student
        best = BestStudent(folder, student) if settings.keep == "best" else None
        step_time = StepTime()
        callbacks = [best, HistoryFile(folder / "history.csv"), step_time]
        callbacks += [AverageWeights()] if settings.ema is not None else []
        # The teachers stay for the runs to come.
        callbacks += [FreezeCheck(*distiller.teachers)] if distiller.teachers else []
        position = RunCheckpoint(folder).position
        start = time.monotonic()
        fit_resumable(
            distiller,
            data,
            settings.epochs,
            folder=folder,
            validation_data=None if best is None else data.validation,
            callbacks=[one for one in callbacks if one is not None],
            every_minutes=settings.checkpoint_minutes,
            verbose=self._verbose,
        )
        steps = settings.epochs * data.steps_per_epoch
        before = position.epoch * data.steps_per_epoch + position.step
        seconds = _whole_seconds(time.monotonic() - start, steps - before, steps)
        if best is not None and best.best_epoch is not None:
            student = load_network(best.path)
        if not all(np.isfinite(weight).all() for weight in student.get_weights()):
            RunCheckpoint(folder).remove()  # otherwise the next call would go on from these weights
            raise TrainingError(
                f"{job.title} diverged: weights are not finite. Lower the learning rate or the "
                "weights of the losses; no model was saved."
            )
        milliseconds = step_time.median_ms
        facts = {
            "epochs": settings.epochs,
            "steps": steps,
            "ms_per_step": None if milliseconds is None else round(milliseconds, 3),
            "seconds_training": seconds,
        }
        network = finished_network(student, data, settings.epochs, recalibrate=settings.recalibrate)
        return network, facts

    def load(self, job: Job) -> "keras.Model":
        """The trained network.

        Raises:
            PlanError: If it is not the file that the plan means, or a network that was trained on
                data unlike the plan's records.
        """
        from tfkd.models import facts_of, load_network

        path, network = self.model_path(job), job.network
        if network.sha256 is not None and path.is_file() and sha256_of(path) != network.sha256:
            raise PlanError(
                f"[teachers.{network.name}] sha256: expected the checksum of {path}, "
                f"{sha256_of(path)}. Received {network.sha256}."
            )
        loaded = load_network(path)
        own, facts = facts_of(loaded), self._manifest.facts
        if own is not None and own != facts:
            raise PlanError(
                f"{job.title}: expected {path} to be trained on data like {self._plan.records}, "
                f"received a network that was trained with {'; '.join(own.differences(facts))}. "
                "Take another file, or prepare records with its settings."
            )
        return loaded

    def fingerprints(self, teachers: Sequence[Job]) -> list[str]:
        """What tells the teachers on this machine from any other network."""
        from tfkd.models import fingerprint

        return [fingerprint(self._teacher(one)) for one in teachers]

    def facts(self, job: Job) -> dict[str, Any]:
        """`epochs`, `steps`, `ms_per_step` and `seconds_training` of a finished training.

        And `taught_by`, the fingerprints of the teachers.
        """
        path = self._folder / job.folder / _TRAINING_NAME
        if job.network.file is not None or not path.exists():
            return {"epochs": None, "steps": None, "ms_per_step": None}
        return parse_json(path.read_bytes())

    def _untrained(self, job: Job, data: "CTRecords") -> "keras.Model":
        from tfkd.training import build_network

        network = job.network
        if network.file is not None:
            return self.load(job)
        return build_network(
            network.network, data, network.width, job.settings.precision, **network.options
        )

    def _data(self, job: Job) -> "CTRecords":
        from tfkd import records

        settings = job.settings
        variation = {} if settings.augment else {"augmentation": None}
        return records.load(
            job.network.records or self._plan.records,
            batch_size=settings.batch_size,
            steps_per_epoch=settings.steps_per_epoch,
            seed=job.seed,
            sampling=records.Sampling(
                empty_share=self._manifest.protocol.empty_share,
                unlabelled_share=0.0 if job.method is None else job.method.unlabelled_share,
            ),
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

    def _check_validation(self, job: Job) -> None:
        splits = teacher_manifest(job.network, self._manifest).splits
        if job.settings.keep == "best" and not splits.get("validation"):
            records = job.network.records or self._plan.records
            raise PlanError(
                f'{job.title}: expected validation cases in {records} for keep="best", '
                'found none. Keep "last", or prepare records with --validation.'
            )

    def _check_unlabelled(self, job: Job) -> None:
        if (
            job.method is not None
            and job.method.unlabelled_share > 0
            and not self._manifest.unlabelled_slices_of("train")
        ):
            raise PlanError(
                f"{job.method.where} unlabelled_share: expected training slices without labels in "
                f"{self._plan.records}, found none."
            )

    def _teacher(self, job: Job) -> "keras.Model":
        if job.identity not in self._teachers:
            self._teachers[job.identity] = self.load(job)
        return self._teachers[job.identity]


def _key(job: Job) -> tuple[str, str]:
    """Runs of the same key have the same network, for a teacher may have a student's name."""
    return ("teacher" if job.kind == "teacher" else "student", job.network.name)


def _whole_seconds(seconds: float, seen: int, steps: int) -> float | None:
    """Time of a training as if it had not been stopped; None if too few steps were seen to say."""
    return round(seconds * steps / seen, 1) if 10 * seen >= steps else None


def forget() -> None:
    """Frees the networks and functions of the run before; teachers and records stay.

    What TensorFlow itself keeps of a traced function, some ten megabytes, is not in reach.
    """
    import keras

    keras.utils.clear_session()
    gc.collect()
    # The C library keeps what was freed, a quarter of a gigabyte a run; not everywhere is it glibc.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def _write_json(path: Path, facts: Mapping[str, Any]) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", "utf-8")
