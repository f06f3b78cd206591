"""The model card: what is known of a model file, for whoever gets the file and nothing else."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfkd.inference import Contract
from tfkd.volumes import PROTOCOLS

__all__ = ["model_card"]

_UNKNOWN = "Unknown: it was not given when the bundle was written."

_NO_USE_GIVEN = (
    "Unknown: whoever wrote the bundle stated none. It is meant for research and for trying things "
    "out, until somebody who knows the data and the scores says more."
)

_LIMITS = (
    "It is **not a medical device**. No authority has approved it, and no decision on a patient's "
    "diagnosis or treatment may rest on it.",
    "It knows CT like that of its training data alone: other scanners, contrast phases, slice "
    "thicknesses, body regions, ages or diseases may give wrong masks without any sign of it.",
    "It gives every pixel one of its labels. What has no label of its own is never found.",
    "Its input has to be CT in Hounsfield units with the right orientation and spacing.",
    "The golden slice in the contract proves that a machine computes what was exported, and says "
    "nothing of how good the masks are.",
)


def model_card(
    contract: Contract,
    *,
    manifest: Any = None,
    evaluation: Any = None,
    run: Mapping[str, Any] | None = None,
    intended_use: str | None = None,
    limits: Sequence[str] = (),
) -> str:
    """Write the card of a model file as Markdown.

    What is not given is said to be unknown. No names of patients, cases or folders are in it.

    Args:
        contract: of the file.
        manifest: `tfkd.records.Manifest` of the data that it was trained on.
        evaluation: `tfkd.report.Evaluation` of the file, or of the model that it was made from.
        run: the run.json that `tfkd train` or `tfkd distill` left beside the student.
        intended_use: in the words of whoever is responsible.
        limits: what is to be said besides the limits that every such model has.

    Returns:
        The text.
    """
    parts = {
        "Model": _model(contract),
        "Intended use": intended_use or _NO_USE_GIVEN,
        "Limits": "\n".join(f"* {limit}" for limit in (*_LIMITS, *limits)),
        "Scores": _UNKNOWN if evaluation is None else _scores(contract, evaluation, manifest),
        "Data": _UNKNOWN if manifest is None else _data(manifest),
        "Training": _UNKNOWN if run is None else _training(run),
        "Input": _input(contract),
        "Versions": _versions(contract.created_by),
    }
    body = "\n\n".join(f"## {title}\n\n{text}" for title, text in parts.items())
    title = f"# Model card: {', '.join(contract.label_names[1:])} in CT"
    return f"{title}\n\n{body}\n"


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; the first row is the heading."""
    heading, *lines = (f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows)
    rule = f"|{' --- |' * len(rows[0])}"
    return "\n".join([heading, rule, *lines])


def _cell(text: str) -> str:
    return " ".join(str(text).replace("|", "\\|").split())


def _model(contract: Contract) -> str:
    labels = ", ".join(f"{label} {name}" for label, name in enumerate(contract.label_names))
    return _table(
        [
            ("what", "value"),
            ("file", contract.file),
            ("SHA-256", contract.sha256),
            ("size", f"{contract.size_bytes / 1e6:.3f} MB"),
            ("number format", contract.quantization),
            ("labels", labels),
        ]
    )


def _input(contract: Contract) -> str:
    spec = contract.spec
    height, width, _ = spec.input_shape
    low, high = spec.window_hu
    bottom, top = spec.output_range
    spacing = "as the CT has it"
    if spec.spacing_mm is not None:
        spacing = f"resampled to {_spacing(spec.spacing_mm)}"
    rows = [
        ("what", "value"),
        ("slice", f"{height} × {width} pixels, axial"),
        ("how it is fitted", spec.fit),
        ("pixel spacing", spacing),
        ("window", f"{low:g} to {high:g} HU, mapped to {bottom:g} to {top:g}"),
        ("neighbouring slices", f"{spec.context_slices} on either side"),
    ]
    if contract.threshold is not None:
        rows.append(("threshold", f"foreground above a probability of {contract.threshold:g}"))
    if contract.postprocessing:
        steps = contract.postprocessing.to_dict()
        done = [f"{name.replace('_', ' ')}: {', '.join(of)}" for name, of in steps.items() if of]
        rows.append(("after the network", "; ".join(done)))
    return _table(rows) + "\n\n`tfkd.Predictor` and `tfkd predict` do all of this by themselves."


def _spacing(spacing_mm: Any) -> str:
    return " × ".join(f"{value:g}" for value in np.ravel(spacing_mm)) + " mm"


def _data(manifest: Any) -> str:
    patient_of = {case.case_id: case.patient_id for case in manifest.cases}
    rows = [("split", "cases", "patients", "slices")]
    for split, ids in manifest.splits.items():
        patients = {patient_of[case_id] for case_id in ids}
        slices = manifest.slices_of(split)
        rows.append((split, str(len(ids)), str(len(patients)), str(slices)))
    facts = [
        f"Source: {manifest.name}. Split by patients.",
        _table(rows),
    ]
    spacings = np.array([case.spacing_mm for case in manifest.cases])
    if len(spacings):
        low, high = spacings.min(axis=0), spacings.max(axis=0)
        facts.append(
            f"Slice distance {low[0]:.2f} to {high[0]:.2f} mm, pixels {low[1:].min():.2f} to "
            f"{high[1:].max():.2f} mm."
        )
    if manifest.splits["train"]:
        train = manifest.cases_of("train")
        if without := sum(case.mask is None for case in train):
            facts.append(f"{without} of the {len(train)} training cases have no mask.")
        shown = manifest.slices_per_label("train")
        words = ", ".join(f"{name} {count}" for name, count in shown.items())
        facts.append(f"Training slices that show a label: {words}.")
    if manifest.target_labels:
        merged = ", ".join(map(str, manifest.target_labels))
        facts.append(f"The labels {merged} of the source make the one target.")
    if manifest.ignored_label is not None:
        facts.append(
            f"Voxels with the label {manifest.ignored_label} of the source belong to no class."
        )
    facts.append(f"Protocol: {manifest.protocol.name}; {manifest.protocol.score}.")
    facts.append(
        "Scanners, sites, ages, sexes and who drew the masks: unknown to the records; see the "
        "source."
    )
    return "\n\n".join(facts)


def _scores(contract: Contract, evaluation: Any, manifest: Any) -> str:
    table = evaluation.table
    patient_of = {} if manifest is None else {c.case_id: c.patient_id for c in manifest.cases}
    # Without the records nobody knows which cases are of one patient.
    units = "cases" if manifest is None else "patients"
    rows = [("label", "mean Dice", "sd", units, "Dice of all voxels", "missed", "false alarms")]
    for label in table.foreground:
        scores = _per_patient(table, label, patient_of)
        rows.append(
            (
                table.label_names[label],
                _number(float(scores.mean()) if scores.size else math.nan),
                _number(float(scores.std(ddof=1)) if scores.size > 1 else math.nan),
                str(scores.size),
                _number(table.global_dice(label)),
                str(table.missed_cases(label)),
                str(table.false_alarms(label)),
            )
        )
    protocol = PROTOCOLS[evaluation.protocol]
    facts = [
        _whose(contract, evaluation) + " " + _which_cases(table.case_ids, manifest),
        _table(rows),
        f"Protocol: {protocol.name}; {protocol.score}. Mean and standard deviation (n − 1) are "
        f"over {units}; {units} without the label in truth and mask are left out unless the "
        "evaluation says otherwise "
        f"(policy {table.empty!r}). Missed: cases whose label was not found at all; false alarms: "
        "cases without the label in which some was found.",
    ]
    where = [f"{key} {value}" for key, value in evaluation.environment.items()]
    if where:
        facts.append(f"Measured on: {'; '.join(where)}.")
    return "\n\n".join(facts)


def _per_patient(table: Any, label: int, patient_of: Mapping[str, str]) -> np.ndarray:
    """Return the Dice of each patient, the mean of its cases; of each case if none is known."""
    by_patient: dict[str, list[float]] = {}
    for case_id, score in zip(table.case_ids, table.per_case(label), strict=True):
        if not np.isnan(score):
            by_patient.setdefault(patient_of.get(case_id, case_id), []).append(float(score))
    return np.array([np.mean(scores) for scores in by_patient.values()])


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"


def _whose(contract: Contract, evaluation: Any) -> str:
    model = evaluation.model
    named = model.file or model.name
    if model.sha256 == contract.sha256:
        return "Of this file, on whole volumes."
    same_size = model.file_bytes == contract.size_bytes and str(model.file).endswith(".tflite")
    if model.sha256 is None and same_size:
        # Two students of one architecture are equally large.
        return (
            f"Of `{named}`, a file of the same kind and size, on whole volumes. **Not proven to be "
            "this file**: the evaluation holds no SHA-256."
        )
    return (
        f"**Not of this file** but of `{named}` ({model.role}), on whole volumes; the scores of "
        "this file are unknown."
    )


def _which_cases(case_ids: Sequence[str], manifest: Any) -> str:
    if manifest is None:
        return f"{len(case_ids)} cases; whether they were trained on is unknown."
    counts = {split: len(set(case_ids) & set(ids)) for split, ids in manifest.splits.items()}
    words = [f"{count} {split}" for split, count in counts.items() if count]
    foreign = len(case_ids) - sum(counts.values())
    if foreign:
        words.append(f"{foreign} of another source")
    text = f"{len(case_ids)} cases: {', '.join(words)}."
    return text + (" **Some were trained on.**" if counts.get("train") else "")


def _training(run: Mapping[str, Any]) -> str:
    config = run.get("config") or {}
    rows = [("what", "value"), ("command", f"tfkd {run.get('command', 'unknown')}")]
    settings = ("network", "width", "method", "batch_size", "learning_rate", "precision")
    rows += [(key, str(config[key])) for key in settings if config.get(key) is not None]
    if run.get("weights") is not None:
        rows.append(("trainable weights", str(run["weights"])))
    rows.append(("epochs", str(run.get("epochs_run", "unknown: not finished"))))
    if best := run.get("best"):
        rows.append(("chosen", ", ".join(f"{key} {_plain(value)}" for key, value in best.items())))
    rows.append(("seed", str(run.get("seed", "unknown"))))
    rows.append(("cases trained on", str(len(run.get("trained_on") or ()) or "unknown")))
    for teacher in run.get("teachers") or ():
        # The folders of whoever trained it are nobody's business, not even the last one's name.
        name = str(teacher.get("file", "unknown")).replace("\\", "/").rpartition("/")[-1]
        rows.append(("teacher", name))
    rows.append(("begun, finished", f"{run.get('started_utc')}, {run.get('finished_utc')}"))
    return _table(rows) + "\n\nTrained with " + _versions(run.get("versions") or {})


def _plain(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _versions(versions: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {number}" for name, number in versions.items()) or "unknown versions"
