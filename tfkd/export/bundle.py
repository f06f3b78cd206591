"""`write_bundle`: model file, contract and model card as one thing to pass on."""

import json
import shutil
import uuid
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tfkd.errors import ExportError
from tfkd.export.model_card import model_card
from tfkd.inference import CARD_NAME, Contract, Predictor, contract_path, open_bundle
from tfkd.volumes import atomic_path

__all__ = ["write_bundle"]

MODEL_NAME = "student.tflite"

# So that the same bundle is the same archive, byte by byte.
_TIMESTAMP = (1980, 1, 1, 0, 0, 0)


def write_bundle(
    model: str | Path,
    out: str | Path,
    *,
    manifest: Any = None,
    evaluation: Any = None,
    run: Mapping[str, Any] | None = None,
    intended_use: str | None = None,
    limits: Sequence[str] = (),
    overwrite: bool = False,
) -> Path:
    """Write a bundle: `student.tflite`, `student.json` and `MODEL_CARD.md`.

    The golden slice is run first. `Predictor`, `tfkd predict`, `tfkd check` and `tfkd bench` take
    the bundle as it is.

    Args:
        model: `.tflite` file with its contract beside it, or another bundle.
        out: a name ending in `.zip` for an archive; any other for a folder. It appears whole or
            not at all.
        manifest: `tfkd.records.Manifest` of the data that the student was trained on.
        evaluation: `tfkd.report.Evaluation` of the file, or of the model that it was made from.
        run: the run.json that `tfkd train` or `tfkd distill` left beside the student, as a dict.
        intended_use: text for the card, by whoever is responsible.
        limits: sentences for the card, besides those that hold for every such model.
        overwrite: whether to replace a bundle that is at `out`.

    Returns:
        `out`.

    Raises:
        ContractError: the model or its contract is missing or damaged, or the golden slice gives
            something else here.
        ExportError: `out` is there already, or is a folder with other files; manifest or evaluation
            are of another model.
    """
    out = Path(out)
    _check_target(out, overwrite)
    with open_bundle(model) as path:
        contract = Contract.load(path)
        Predictor(path).check()
        _check_fitting(contract, manifest, evaluation)
        record = json.loads(contract_path(path).read_text("utf-8")) | {"file": MODEL_NAME}
        files = {
            MODEL_NAME: path.read_bytes(),
            contract_path(MODEL_NAME).name: (json.dumps(record, indent=2) + "\n").encode(),
        }
    renamed = Contract.from_dict(record)
    card = model_card(
        renamed,
        manifest=manifest,
        evaluation=evaluation,
        run=run,
        intended_use=intended_use,
        limits=limits,
    )
    files[CARD_NAME] = card.encode()
    if out.suffix.lower() == ".zip":
        _write_archive(out, files)
    else:
        _write_folder(out, files)
    return out


def _check_target(out: Path, overwrite: bool) -> None:
    if out.suffix.lower() in (".tflite", ".json", ".keras", ".md"):
        raise ExportError(
            f"{out}: expected the name of a folder, or of an archive that ends in .zip. Choose "
            "such a name for the bundle."
        )
    if not out.exists():
        return
    if not overwrite:
        raise ExportError(
            f"{out}: the bundle is there already. Pass overwrite (--overwrite) to replace it."
        )
    own = {MODEL_NAME, contract_path(MODEL_NAME).name, CARD_NAME}
    if out.suffix.lower() == ".zip":
        foreign = [out.name] if out.is_dir() else []
    else:
        foreign = [one.name for one in out.iterdir()] if out.is_dir() else [out.name]
        foreign = sorted(set(foreign) - own)
    if foreign:
        raise ExportError(
            f"{out}: expected nothing but an earlier bundle to replace, found "
            f"{', '.join(foreign[:5])}. Choose another name; nothing was removed."
        )


def _check_fitting(contract: Contract, manifest: Any, evaluation: Any) -> None:
    """Raises if the card would speak of another model's data or scores."""
    if manifest is not None and (manifest.label_names, manifest.spec) != (
        contract.label_names,
        contract.spec,
    ):
        raise ExportError(
            f"records {manifest.name}: expected the labels and the preprocessing of the model, "
            f"{contract.label_names} and {contract.spec}; received {manifest.label_names} and "
            f"{manifest.spec}. Give the records that it was exported with."
        )
    if evaluation is not None and tuple(evaluation.table.label_names) != contract.label_names:
        raise ExportError(
            f"evaluation {evaluation.name!r}: expected scores of the labels "
            f"{contract.label_names}, received {tuple(evaluation.table.label_names)}. Give the "
            "evaluation of this model."
        )


def _write_archive(out: Path, files: Mapping[str, bytes]) -> None:
    with (
        atomic_path(out) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive,
    ):
        for name, content in files.items():
            member = zipfile.ZipInfo(name, _TIMESTAMP)
            member.compress_type = zipfile.ZIP_DEFLATED
            member.external_attr = 0o644 << 16
            archive.writestr(member, content)


def _write_folder(out: Path, files: Mapping[str, bytes]) -> None:
    """Write beside and rename, so that the folder is never there by half."""
    # A name such as "." or "a/.." has none to put a mark to, and a link's folder is elsewhere.
    out = out.resolve()
    mark = uuid.uuid4().hex[:8]
    new, old = (out.with_name(f".{mark}.{word}.{out.name}") for word in ("new", "old"))
    new.mkdir(parents=True)
    try:
        for name, content in files.items():
            (new / name).write_bytes(content)
        if out.exists():
            out.rename(old)
        try:
            new.rename(out)
        except OSError:
            if old.exists():
                old.rename(out)
            raise
    finally:
        shutil.rmtree(new, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
