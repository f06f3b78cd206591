"""Trains what a plan asks for on a machine with a GPU and without TensorFlow: Keras on JAX.

    python benchmarks/quality/gpu/train.py benchmarks/quality/full_width/plan.toml runs/full_width

The plan's records (and its teachers') are folders that `pack.py` wrote. Networks that are there
already are not trained again. Where the records and volumes are, the same folder goes on to the
rows and the table, scored on whole volumes like all others:

    tfkd compare benchmarks/quality/full_width/plan.toml --out runs/full_width
"""

import argparse
import json
import os
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")
# Losses and places of pixels in all of float32, not in what tensor cores make of it.
os.environ.setdefault("JAX_DEFAULT_MATMUL_PRECISION", "float32")

import keras
import numpy as np
from packed_slices import PackedSlices

from tfkd.comparison import Plan, read_plan
from tfkd.comparison.runs.job import Job, jobs_of
from tfkd.comparison.runs.step_time import StepTime
from tfkd.comparison.runs.trainer import Trainer, forget
from tfkd.distillation import Distiller, FreezeCheck
from tfkd.errors import PlanError, TfkdError, TrainingError
from tfkd.models import fingerprint, save_network
from tfkd.records import Manifest, Sampling
from tfkd.training import build_network, compile_for_training, ramped_weights
from tfkd.volumes import atomic_path


def data_of(plan: Plan, job: Job) -> PackedSlices:
    """Training slices of a run.

    Raises:
        RecordError: If they are not there, or not of the records that their manifest describes.
        PlanError: If slices without labels are asked for, and there are none.
    """
    share = 0.0 if job.method is None else job.method.unlabelled_share
    data = PackedSlices(
        Path(job.network.records or plan.records),
        batch_size=job.settings.batch_size,
        steps=job.settings.steps_per_epoch or 0,
        sampling=Sampling(
            empty_share=Manifest.load(plan.records).protocol.empty_share, unlabelled_share=share
        ),
        vary=job.settings.augment,
        seed=job.seed,
    )
    if share and not data.manifest.unlabelled_slices_of("train"):
        raise PlanError(f"{job.title}: expected training slices without labels, found none.")
    return data


def train(plan: Plan, job: Job, trainer: Trainer) -> dict[str, Any]:
    """Trains a run, the teacher running in every step, and writes its network.

    Args:
        plan: The plan.
        job: A run of it.
        trainer: The library's, which knows where networks lie.

    Returns:
        What `tfkd compare` asks of a training.

    Raises:
        TrainingError: If weights are not finite in the end; nothing is written then.
    """
    forget()
    settings, network = job.settings, job.network
    teachers = [trainer.load(one) for one in job.taught_by]
    taught_by = {"taught_by": [fingerprint(one) for one in teachers]} if teachers else {}
    keras.utils.set_random_seed(job.seed)
    data = data_of(plan, job)
    student = build_network(network.network, data, network.width, **network.options)
    distiller = Distiller(None, student)
    if job.method is not None:
        losses, weights = job.method.build()
        steps = round(job.method.ramp_epochs * data.steps_per_epoch)
        distiller = Distiller(teachers[0], student, losses, ramped_weights(weights, steps))
    compile_for_training(
        distiller,
        data,
        settings.epochs,
        settings.learning_rate,
        gamma=settings.focal_gamma,
        dice_share=settings.dice_share,
        dice_squares=settings.dice_squares,
    )
    step_time, start = StepTime(), time.monotonic()
    callbacks = [step_time, *([FreezeCheck(*teachers)] if teachers else [])]
    # The slices come in an order of their own; Keras would draw another one, not from the seed.
    distiller.fit(data, epochs=settings.epochs, callbacks=callbacks, shuffle=False, verbose=2)
    if not all(np.isfinite(weight).all() for weight in student.get_weights()):
        raise TrainingError(f"{job.title} diverged: weights are not finite. Nothing was saved.")
    facts = {
        "epochs": settings.epochs,
        "steps": settings.epochs * data.steps_per_epoch,
        "ms_per_step": None if step_time.median_ms is None else round(step_time.median_ms, 3),
        "seconds_training": round(time.monotonic() - start, 1),
        "trained_on": where(),
        **taught_by,
    }
    path = trainer.model_path(job)
    with atomic_path(path.with_name("training.json")) as temporary:
        temporary.write_text(json.dumps(facts, indent=2) + "\n", "utf-8")
    # The network last: where it lies, the training is finished. Without the optimizer's state.
    save_network(student, path)
    return facts


def where() -> str:
    """The device and JAX's version, in words that name no host."""
    import jax

    return f"{jax.devices()[0].device_kind}, JAX {version('jax')}"


def check(plan: Plan, jobs: list[Job], trainer: Trainer) -> None:
    """Raises before anything is trained what would end the program hours later.

    Raises:
        PlanError: If a run needs what only the library's own training has, a teacher's file is not
            there, or a network cannot be built.
        RecordError: As `data_of`.
    """
    plan.check()
    for job in jobs:
        settings, from_file = job.settings, job.network.file is not None
        if from_file and not trainer.is_trained(job):
            raise PlanError(f"{job.title}: {job.network.file} is not there.")
        unknown = {
            "several teachers": len(job.taught_by) > 1,
            "cache_teacher": bool(job.taught_by) and settings.cache_teacher,
            "ema": settings.ema is not None,
            f"keep = {settings.keep!r}": settings.keep != "last",
            "recalibrate": settings.recalibrate,
            f"precision = {settings.precision!r}": settings.precision != "float32",
            "no steps_per_epoch": settings.steps_per_epoch is None,
        }
        if not from_file and (found := [name for name, is_so in unknown.items() if is_so]):
            raise PlanError(
                f"{job.title}: {', '.join(found)} is not for this program. Change the plan, or "
                "run it with `tfkd compare`."
            )
        if not from_file:
            data_of(plan, job)


def main() -> None:
    """Trains, teachers first, and says how far it is."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("plan", type=Path)
    parser.add_argument("out", type=Path, help="folder of the comparison, as for `tfkd compare`")
    parser.add_argument("--minutes", type=float, help="begin no run after so many minutes")
    arguments = parser.parse_args()
    start = time.monotonic()
    try:
        plan = read_plan(arguments.plan)
        manifest = Manifest.load(plan.records)
        jobs = list({job.identity: job for job in jobs_of(plan, manifest)}.values())
        trainer = Trainer(plan, manifest, arguments.out)
        check(plan, jobs, trainer)
        left = [job for job in jobs if not trainer.is_trained(job)]
        for number, job in enumerate(left):
            if arguments.minutes and time.monotonic() - start > 60 * arguments.minutes:
                print(f"{len(left) - number} runs are left; the same command goes on")
                return
            print(f"{len(jobs) - len(left) + number + 1} of {len(jobs)}: {job.title}", flush=True)
            facts = train(plan, job, trainer)
            print(f"{facts['seconds_training']} s, {facts['ms_per_step']} ms a step", flush=True)
    except TfkdError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
