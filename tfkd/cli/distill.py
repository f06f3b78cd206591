"""`tfkd distill`: a student under one or several teachers."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tfkd.cli.config import ConfigError, option
from tfkd.cli.naming import naming
from tfkd.cli.progress import progress_bar
from tfkd.cli.run_record import RUN_RECORD_NAME
from tfkd.cli.strategy import is_chief, leaving_with_the_others, meet, start_strategy
from tfkd.cli.trained_on import check_trained_on
from tfkd.cli.training import TrainingConfig
from tfkd.files import parse_json
from tfkd.models import STUDENTS, TEACHERS
from tfkd.training import load_network, parameter_count, ramped_weights

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from tfkd.distillation import Distiller, Teachers, methods
    from tfkd.records import CTRecords

SUMMARY = "Train a student from labels and from one or several trained teachers."
EXAMPLE = "tfkd distill records/lits runs/student --teacher runs/teacher/model.keras --network ENet"

MethodName = Literal[
    "overlap_kd",
    "emkd",
    "kd",
    "attention_transfer",
    "fitnets",
    "similarity",
    "cwd",
    "skd",
    "dist",
]

EARLIER_METHOD_NAMES = {"tfkd": "overlap_kd"}

# Arguments of `tfkd.methods.emkd`, which other methods do not have.
_OF_EMKD = {
    "prediction_weight": "prediction_weight",
    "balanced": "balanced",
    "importance_weight": "importance_weight",
    "region_weight": "region_weight",
    "region_variant": "variant",
    "taps": "taps",
}


@dataclass(frozen=True, kw_only=True)
class Config(TrainingConfig):
    """Settings of `tfkd distill`; a method's losses and weights as its publication has them."""

    teacher: tuple[Path, ...] = option(
        "trained teachers, one or several .keras files; give it after RECORDS and OUT, which it "
        "would take for teachers too",
        flag="--teacher",
    )
    network: str = option(f"student: one of {', '.join(STUDENTS + TEACHERS)}", default="ENet")
    method: MethodName = option(
        "method of `tfkd.methods`, with its weights",
        default="overlap_kd",
        earlier_names=EARLIER_METHOD_NAMES,
    )
    method_weight: float = option("factor on all weights of the method", default=1.0)
    prediction_weight: float = option("emkd: weight of the prediction map loss", default=0.1)
    balanced: bool = option(
        "emkd: in the prediction map loss every region weighs the same, not every pixel",
        default=False,
    )
    importance_weight: float = option(
        "emkd: weight of the importance map loss, per tap", default=0.9
    )
    region_weight: float = option("emkd: weight of the region affinity loss, per tap", default=0.9)
    region_variant: Literal["regions", "paper"] = option(
        "emkd: form of the region loss, one region per class, or the published two",
        default="regions",
    )
    taps: tuple[str, ...] = option(
        "emkd: layers, of both networks, that are compared", default=("tap_low", "tap_high")
    )
    ramp_epochs: float = option(
        "epochs over which the distillation losses' weights rise from 0 to their values",
        default=0.0,
    )
    teacher_weighting: Literal["mean", "confidence"] = option(
        "several teachers: equal shares, or by how sure each is of the labels", default="mean"
    )
    held_out: bool = option(
        "teach each case only by teachers that were not trained on it, by the run.json beside "
        "each; see `tfkd train --folds`",
        default=False,
    )
    cache_teacher: bool = option(
        "run the teachers once over the training slices and keep what the losses need beside the "
        "records, so that a step costs what the student alone costs",
        default=False,
    )
    unlabelled_share: float = option(
        "share of slices without labels in the batches, if the records have any; the losses on "
        "the labels leave them out, and an epoch has as many steps as without them",
        default=0.5,
    )
    pseudo_label_threshold: float = option(
        "where there is no label, the distillation losses see the class that the teachers predict "
        "with at least this probability",
        default=0.9,
    )
    log_gradient_share: bool = option(
        "log each loss's share in the gradient; costs a backward pass for every loss",
        default=False,
    )


def run(config: Config) -> None:
    """Distils and says where the student is."""
    strategy = start_strategy(config.strategy, config.wait_minutes)
    with leaving_with_the_others(config.strategy):
        print(_distill(config, strategy))


def _distill(config: Config, strategy: "tf.distribute.Strategy") -> Path:
    from tfkd.cli.training import build_network, end_of_earlier, fit, load_data
    from tfkd.distillation import FreezeCheck

    ended = end_of_earlier(config, "distill", strategy)
    if ended is not None:
        return ended
    data = load_data(config, strategy, unlabelled_share=config.unlabelled_share)
    with strategy.scope():
        # Before the teachers, which draw from the seed too: a plain student starts from these
        # weights.
        student = build_network(config, data)
        teachers = {path: load_network(path) for path in config.teacher}
        distiller = _distiller(config, data, teachers, student)
    print(f"{student.name}: {parameter_count(student):,} weights")
    unlabelled = data.manifest.unlabelled_slices_of("train")
    if unlabelled and config.unlabelled_share:
        print(f"{unlabelled} of {data.manifest.slices_of('train')} training slices have no labels")
    for teacher in teachers.values():
        print(f"taught by {teacher.name}: {parameter_count(teacher):,} weights")
    if config.cache_teacher:
        data = _cached(distiller, data, is_chief(config.strategy))
    check = FreezeCheck(*teachers.values())
    return fit(distiller, student, data, config, "distill", teachers, [check])


def _distiller(
    config: Config,
    data: "CTRecords",
    teachers: dict[Path, "keras.Model"],
    student: "keras.Model",
) -> "Distiller":
    from tfkd.distillation import Distiller

    losses, weights = _method(config)
    for path, teacher in teachers.items():
        check_trained_on(path, teacher, data.facts, config.records)
        with naming(path):
            Distiller(teacher, student, losses)  # an error names the file that is at fault
    return Distiller(
        _teachers(config, data, list(teachers.values())),
        student,
        losses,
        _ramped(config, weights, data.steps_per_epoch),
        log_gradient_share=config.log_gradient_share,
        pseudo_label_threshold=config.pseudo_label_threshold,
    )


def _method(config: Config) -> "methods.Method":
    from tfkd.distillation import methods

    if config.method_weight < 0:
        raise ConfigError(f"method_weight: expected 0 or more, received {config.method_weight}.")
    arguments = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.name not in _OF_EMKD or value == field.default:
            continue
        if config.method != "emkd":
            raise ConfigError(
                f"{field.name}: expected it with method emkd alone, received it with "
                f"{config.method}. Give --method emkd, or leave it out; method_weight changes all "
                "weights."
            )
        arguments[_OF_EMKD[field.name]] = value
    losses, weights = getattr(methods, config.method)(**arguments)
    return losses, [config.method_weight * weight for weight in weights]


def _teachers(
    config: Config, data: "CTRecords", models: "Sequence[keras.Model]"
) -> "keras.Model | Teachers":
    from tfkd.distillation import Teachers

    if len(models) == 1 and not config.held_out:
        return models[0]
    trained_on = None
    if config.held_out:
        trained_on = [_trained_on(path) for path in config.teacher]
        _check_held_out(config, data, trained_on)
    return Teachers(models, config.teacher_weighting, trained_on)


def _check_held_out(config: Config, data: "CTRecords", trained_on: Sequence[Sequence[str]]) -> None:
    """Says how many cases are learnt from labels alone; refuses if all are."""
    cases = data.trained_on
    untaught = [case for case in cases if all(case in seen for seen in trained_on)]
    if len(untaught) == len(cases):
        raise ConfigError(
            f"held_out: expected that some of the {len(cases)} training cases of {config.records} "
            f"are new to a teacher, found that {', '.join(map(str, config.teacher))} saw all of "
            "them in training. Train teachers with `tfkd train --folds`, or leave out held_out."
        )
    if untaught:
        print(f"{len(untaught)} of {len(cases)} training cases have no teacher that is new to them")


def _trained_on(teacher: Path) -> list[str]:
    """The cases that a teacher has seen, by the record of its run."""
    path = teacher.with_name(RUN_RECORD_NAME)
    try:
        return list(parse_json(path.read_bytes())["trained_on"])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{path}: expected the record of the run that made {teacher.name}, which says on "
            "which cases it was trained, found none. Train the teacher with `tfkd train`, or "
            "leave out held_out."
        ) from error


def _ramped(config: Config, weights: list[float], steps_per_epoch: int) -> list[Any]:
    if config.ramp_epochs < 0:
        raise ConfigError(f"ramp_epochs: expected 0 or more, received {config.ramp_epochs}.")
    return ramped_weights(weights, round(config.ramp_epochs * steps_per_epoch))


def _cached(distiller: "Distiller", data: "CTRecords", chief: bool) -> "CTRecords":
    """The first worker writes the cache; the others read it afterwards."""
    from tfkd.distillation import cache_teacher

    if not chief:
        meet(distiller.distribute_strategy)
    with progress_bar("teacher cache") as progress:
        cached = cache_teacher(distiller, data, progress=progress)
    if chief:
        meet(distiller.distribute_strategy)
    return cached
