"""Teachers, student and data of a training are for one kind of input and one list of labels."""

from collections.abc import Sequence
from typing import Any

import keras

from tfkd.models.network_file import check_fits, facts_of, set_facts
from tfkd.volumes import DataFacts

__all__ = ["check_same_data", "check_taught_alike", "learn_facts"]


def check_taught_alike(teacher: keras.Model, student: keras.Model) -> None:
    """Refuses a teacher that was trained on other data than the student is for, where both know.

    Raises:
        ValueError: Naming what differs.
    """
    own, wanted = facts_of(teacher), facts_of(student)
    if own is None or wanted is None or own == wanted:
        return
    raise ValueError(
        f"Expected a teacher for the same input and labels as the student {student.name!r}. "
        f"Received {teacher.name!r}, which was trained with {'; '.join(own.differences(wanted))}. "
        "Take a teacher that was trained on records with the student's settings, or prepare the "
        "student's records with the teacher's."
    )


def check_same_data(data: Any, teachers: Sequence[keras.Model], student: keras.Model) -> None:
    """Refuses data unlike that which a teacher or the student was trained on, where both are known.

    Args:
        data: What `fit` or `evaluate` is given; whatever has `facts` is known, such as a dataset of
            `CTRecords`.
        teachers: The teachers.
        student: The student.

    Raises:
        ValueError: Naming the network and what differs, or if the student has not a channel for
            each label of the data.
    """
    facts = DataFacts.of(data)
    if facts is None:
        return
    check_fits(student, facts)
    for role, network in (*(("teacher", one) for one in teachers), ("student", student)):
        own = facts_of(network)
        if own is None or own == facts:
            continue
        advice = (
            "Give records that were prepared with the teacher's settings, or another teacher."
            if role == "teacher"
            else "Give records that were prepared with its settings, or call "
            "`tfkd.models.set_facts(student, None)` to train it for other data on purpose."
        )
        raise ValueError(
            f"Expected data like that which the {role} {network.name!r} was trained on. Received "
            f"data with {'; '.join(facts.differences(own))}. {advice}"
        )


def learn_facts(data: Any, student: keras.Model) -> None:
    """Lets the student know what it is trained on, so that its file says so."""
    facts = DataFacts.of(data)
    if facts is not None and facts_of(student) is None:
        set_facts(student, facts)
