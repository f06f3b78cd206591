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
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
from packed_slices import PackedSlices

from tfkd.comparison import Plan, read_plan
from tfkd.comparison.jobs import Job, jobs_of
from tfkd.comparison.step_time import StepTime
from tfkd.distillation import Distiller
from tfkd.models import fingerprint
from tfkd.records import Manifest, Sampling
from tfkd.training import build_network, compile_for_training, ramped_weights
from tfkd.volumes import atomic_path


def train(plan: Plan, job: Job, folder: Path) -> dict[str, Any]:
    """Trains a run, the teacher running in every step, and writes `model.keras`.

    Args:
        plan: The plan.
        job: A run of it.
        folder: Folder of the comparison.

    Returns:
        What `tfkd compare` asks of a training.
    """
    settings = job.settings
    keras.utils.set_random_seed(job.seed)
    data = PackedSlices(
        Path(job.network.records or plan.records),
        batch_size=settings.batch_size,
        steps=settings.steps_per_epoch,
        sampling=Sampling(
            empty_share=Manifest.load(plan.records).protocol.empty_share,
            unlabelled_share=0.0 if job.method is None else job.method.unlabelled_share,
        ),
        vary=settings.augment,
        seed=job.seed,
    )
    network = job.network
    student = build_network(
        network.network, data, network.width, settings.precision, **network.options
    )
    teachers = [keras.saving.load_model(model_path(folder, one)) for one in job.taught_by]
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
    distiller.fit(data, epochs=settings.epochs, callbacks=[step_time], verbose=2)
    facts = {
        "epochs": settings.epochs,
        "steps": settings.epochs * data.steps_per_epoch,
        "ms_per_step": round(step_time.median_ms, 3) if step_time.median_ms else None,
        "seconds_training": round(time.monotonic() - start, 1),
        **({"taught_by": [fingerprint(one) for one in teachers]} if teachers else {}),
    }
    path = model_path(folder, job)
    with atomic_path(path.with_name("training.json")) as temporary:
        temporary.write_text(json.dumps(facts, indent=2) + "\n", "utf-8")
    # The network last: where it lies, the training is finished.
    with atomic_path(path) as temporary:
        keras.Model(student.inputs[0], student.outputs[0], name=student.name).save(temporary)
    return facts


def model_path(folder: Path, job: Job) -> Path:
    """Where `tfkd compare` looks for the network of a run."""
    return Path(job.network.file or folder / job.folder / "model.keras")


def refuse(job: Job) -> None:
    """Ends the program if a run needs what only the library's own training has."""
    settings = job.settings
    unknown = {
        "ema": settings.ema is not None,
        "keep": settings.keep != "last",
        "recalibrate": settings.recalibrate,
        "precision": settings.precision != "float32",
        "several teachers": len(job.taught_by) > 1,
    }
    if wanted := [name for name, asked in unknown.items() if asked]:
        sys.exit(f"{job.title}: {', '.join(wanted)}: not done here; use `tfkd compare`.")


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
    plan = read_plan(arguments.plan)
    jobs = jobs_of(plan, Manifest.load(plan.records))
    for job in jobs:
        refuse(job)
    for number, job in enumerate(jobs, 1):
        if model_path(arguments.out, job).exists():
            continue
        if arguments.minutes and time.monotonic() - start > 60 * arguments.minutes:
            print(
                f"{len(jobs) - number + 1} of {len(jobs)} runs are left; the same command goes on"
            )
            return
        print(f"{number} of {len(jobs)}: {job.title}", flush=True)
        facts = train(plan, job, arguments.out)
        print(f"{facts['seconds_training']} s, {facts['ms_per_step']} ms a step", flush=True)


if __name__ == "__main__":
    main()
