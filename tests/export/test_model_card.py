"""What the card says, what it does not know, and what it must not tell."""

import dataclasses
import re
from types import SimpleNamespace

import pytest

from tests.export.cards import evaluation_of, manifest_of, run_record
from tfkd.export import model_card, to_litert
from tfkd.inference import Contract, Postprocessing

NAMES = ("background", "liver", "tumour")


@pytest.fixture(scope="module")
def contract(student, spec, tmp_path_factory) -> Contract:
    path = tmp_path_factory.mktemp("card") / "s.tflite"
    return to_litert(student, path, spec=spec, label_names=NAMES).contract


def _section(card: str, title: str) -> str:
    return re.search(rf"## {title}\n\n(.*?)(?=\n\n## |\Z)", card, re.DOTALL)[1]


def test_what_is_not_given_is_unknown(contract):
    card = model_card(contract)
    for title in ("Scores", "Data", "Training", "Intended use"):
        assert _section(card, title).startswith("Unknown")
    assert "not a medical device" in _section(card, "Limits")
    assert card.startswith("# Model card: liver, tumour in CT\n")
    assert contract.sha256 in _section(card, "Model")
    assert "| window | -60 to 140 HU, mapped to -1 to 1 |" in _section(card, "Input")
    assert f"tensorflow {contract.created_by['tensorflow']}" in _section(card, "Versions")
    assert "after the network" not in card


def test_scores_are_over_patients(contract):
    """Two cases of one patient count once: (0.5 + 1) / 2 and 1 give 0.875 ± 0.177."""
    evaluation = evaluation_of(contract, {"a-1": 0.5, "a-2": 1.0, "b-1": 1.0})
    with_patients = _section(
        model_card(contract, evaluation=evaluation, manifest=manifest_of(contract)), "Scores"
    )
    assert "| liver | 0.875 | 0.177 | 2 | 0.833 | 0 | 0 |" in with_patients
    assert "| tumour | – | – | 0 | – | 0 | 0 |" in with_patients
    assert "Of this file, on whole volumes. 3 cases: 3 test." in with_patients
    assert "| sd | patients |" in with_patients
    alone = _section(model_card(contract, evaluation=evaluation), "Scores")
    assert "| sd | cases |" in alone
    assert "over cases; cases without" in alone
    assert "patients" not in alone
    assert "| liver | 0.833 | 0.289 | 3 |" in alone
    assert "whether they were trained on is unknown" in alone
    assert "Protocol: whole_volume" in alone
    assert "date 2026-01-01" in alone


def test_scores_of_another_file_are_called_so(contract):
    evaluation = evaluation_of(contract, {"a-1": 1.0, "t-1": 1.0, "x": 1.0})
    model = dataclasses.replace(evaluation.model, file="student.keras", sha256="0" * 64)
    other = dataclasses.replace(evaluation, model=model)
    scores = _section(
        model_card(contract, evaluation=other, manifest=manifest_of(contract)), "Scores"
    )
    assert scores.startswith("**Not of this file** but of `student.keras` (int8)")
    assert "3 cases: 1 train, 1 test, 1 of another source. **Some were trained on.**" in scores


def test_a_file_of_the_same_size_is_not_taken_for_this_one(contract):
    evaluation = evaluation_of(contract, {"a-1": 1.0})
    begins = {
        contract.sha256: "Of this file, on whole volumes.",
        "0" * 64: f"**Not of this file** but of `{contract.file}` (int8)",
        None: f"Of `{contract.file}`, a file of the same kind and size, on whole volumes. "
        "**Not proven to be this file**",
    }
    for sha256, expected in begins.items():
        model = dataclasses.replace(evaluation.model, sha256=sha256)
        given = dataclasses.replace(evaluation, model=model)
        assert _section(model_card(contract, evaluation=given), "Scores").startswith(expected)
    of_keras = dataclasses.replace(evaluation.model, sha256=None, file="student.keras")
    given = dataclasses.replace(evaluation, model=of_keras)
    assert "**Not of this file**" in model_card(contract, evaluation=given)


def test_data(contract):
    data = _section(model_card(contract, manifest=manifest_of(contract)), "Data")
    assert "Source: lits17. Split by patients." in data
    assert "| train | 2 | 1 | 20 |" in data
    assert "| validation | 0 | 0 | 0 |" in data
    assert "Slice distance 1.00 to 5.00 mm, pixels 0.70 to 0.90 mm." in data
    assert "Training slices that show a label: liver 9, tumour 2." in data


def test_training_cases_without_masks_are_said(contract):
    manifest = manifest_of(contract)
    assert "no mask" not in model_card(contract, manifest=manifest)
    first, *others = manifest.cases
    cases = (dataclasses.replace(first, mask=None, mask_sha256=None), *others)
    card = model_card(contract, manifest=manifest_of(contract, cases=cases))
    assert "1 of the 2 training cases have no mask." in _section(card, "Data")


def test_training_names_no_folder(contract):
    training = _section(model_card(contract, run=run_record()), "Training")
    assert "| command | tfkd distill |" in training
    assert "| network | ENet |" in training
    assert "| teacher | model.keras |" in training
    assert "| chosen | epoch 7, val_dice 0.8123 |" in training
    assert "keras 3.15.1" in training
    assert "/home" not in training
    bare = _section(model_card(contract, run={}), "Training")
    assert "| epochs | unknown: not finished |" in bare


def test_cases_and_folders_stay_at_home(contract):
    card = model_card(
        contract,
        manifest=manifest_of(contract),
        evaluation=evaluation_of(contract, {"a-1": 1.0}),
        run=run_record(),
    )
    for secret in ("a-1", "t-1", "patient-a", "/home"):
        assert secret not in card


def test_words_of_whoever_is_responsible(contract):
    card = model_card(contract, intended_use="Teaching.", limits=["Adults only."])
    assert _section(card, "Intended use") == "Teaching."
    assert _section(card, "Limits").endswith("* Adults only.")


def test_threshold_and_postprocessing(contract):
    binary = SimpleNamespace(
        **{
            **{name.name: getattr(contract, name.name) for name in dataclasses.fields(contract)},
            "threshold": 0.4,
            "postprocessing": Postprocessing(largest_component=("liver",)),
        }
    )
    text = _section(model_card(binary), "Input")
    assert "foreground above a probability of 0.4" in text
    assert "| after the network | largest component: liver |" in text
