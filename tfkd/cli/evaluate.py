"""`tfkd evaluate`: a model's scores on whole volumes."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tfkd.cli.config import ConfigError, check_suffix, config_path, option, write_config
from tfkd.cli.naming import naming
from tfkd.cli.progress import progress_bar
from tfkd.cli.tensorflow_start import start_tensorflow
from tfkd.cli.trained_on import check_trained_on
from tfkd.evaluation import Role
from tfkd.volumes import DataFacts, atomic_path

if TYPE_CHECKING:
    from tfkd.evaluation import ModelInfo
    from tfkd.inference import LogitsFunction, VolumePredictor
    from tfkd.records import Manifest

SUMMARY = "Segment whole volumes with a model (.keras, .tflite or a bundle) and score the masks."
EXAMPLE = "tfkd evaluate student.tflite records/lits -o runs/lits/evaluation/int8.json --role int8"


@dataclass(frozen=True)
class Config:
    """Settings of `tfkd evaluate`."""

    model: Path = option("model: .keras, .tflite, or a bundle (a folder or .zip)")
    records: Path = option("folder of records, whose manifest names the volumes")
    out: Path = option(
        "scores to write, .json; a .csv and a folder of masks appear beside it", flag="-o"
    )
    split: Literal["train", "validation", "test"] = option("patients to score", default="test")
    name: str | None = option("row's name in the report; the file's when left out", default=None)
    role: Role = option("what the row is in the report", default="other")
    parameters: int | None = option("number of weights, if the file does not tell", default=None)
    masks: bool = option("keep the predicted masks, for the report's pictures", default=True)
    source: Path | None = option("folder of the volumes, if it has moved", default=None)
    threads: int | None = option("threads of a .tflite file or bundle", default=None)


def run(config: Config) -> None:
    """Evaluates and prints the table."""
    from tfkd.evaluation import VolumeScorer
    from tfkd.records import Manifest
    from tfkd.report import format_table

    check_suffix(config.out, ".json")
    is_file = config.model.suffix == ".tflite"
    # Whichever way the two are spelled, and whether the model is a link or not.
    contracts = [model.with_suffix(".json") for model in (config.model, config.model.resolve())]
    if is_file and config.out.resolve() in [contract.resolve() for contract in contracts]:
        raise ConfigError(f"{config.out}: this is the model's contract; choose another name.")
    written = (config.out.resolve(), config.out.with_suffix("").resolve() / "masks")
    if any(config.model.resolve() in path.parents for path in written):
        raise ConfigError(
            f"{config.out}: expected scores and masks outside of the bundle {config.model}, which "
            "is to stay as it is. Choose another name."
        )
    manifest = Manifest.load(config.records)
    cases = manifest.case_files(config.split, config.source)
    with naming(config.model):
        predictor, model = _load(config, manifest)
    if predictor.label_names != manifest.label_names:
        raise ConfigError(
            f"{config.model}: expected the labels of the records, {manifest.label_names}. Received "
            f"{predictor.label_names}; evaluate on the data the model was made for."
        )
    if predictor.threshold != manifest.protocol.threshold:
        raise ConfigError(
            f"{config.model}: expected the threshold {manifest.protocol.threshold} of the records' "
            f"protocol {manifest.protocol.name}, found {predictor.threshold} in its contract. "
            "Export it with these records."
        )
    facts = DataFacts(predictor.spec, predictor.label_names)
    if differences := facts.differences(manifest.facts):
        # It is given what it was made for: the volumes are read anew, not from the records.
        print(
            f"{config.model}: evaluated on input as its contract has it, "
            f"{'; '.join(differences)} in {config.records}."
        )
    with naming(config.model), progress_bar(f"evaluate {model.name}") as progress:
        evaluation = VolumeScorer(manifest, cases, memory_bytes=0).evaluate(
            predictor,
            model,
            masks_dir=config.out.with_suffix("") if config.masks else None,
            progress=progress,
        )
    evaluation.save(config.out)
    with atomic_path(config.out.with_suffix(".csv")) as temporary:
        temporary.write_text(evaluation.table.to_csv(), encoding="utf-8")
    write_config(config, "evaluate", config_path(config.out))
    print(format_table([evaluation]))


def _load(config: Config, manifest: "Manifest") -> "tuple[VolumePredictor, ModelInfo]":
    """The model as Volume → Volume, and its row with what it costs."""
    if config.model.suffix == ".tflite" or _is_bundle(config.model):
        return _load_edge(config)
    start_tensorflow()
    from tfkd.export import keras_logits, keras_predictor
    from tfkd.training import load_network, parameter_count

    model = load_network(config.model)
    check_trained_on(config.model, model, manifest.facts, config.records)
    predictor = keras_predictor(
        model, manifest.spec, manifest.label_names, threshold=manifest.protocol.threshold
    )
    one_slice = keras_logits(model, 1)
    return predictor, _info(config, config.model, predictor, one_slice, parameter_count(model))


def _load_edge(config: Config) -> "tuple[VolumePredictor, ModelInfo]":
    """What a `.tflite` file says, whether it lies alone or in a bundle."""
    from tfkd.inference import LiteRTModel, Predictor, open_bundle

    with open_bundle(config.model) as file:
        predictor = Predictor(file, threads=config.threads)
        one_slice = LiteRTModel(file, threads=config.threads)
        # The row is that of the file itself, by which `tfkd bundle` finds its scores.
        return predictor, _info(config, file, predictor, one_slice, config.parameters)


def _info(
    config: Config,
    file: Path,
    predictor: "VolumePredictor",
    one_slice: "LogitsFunction",
    parameters: int | None,
) -> "ModelInfo":
    from tfkd.evaluation import ModelInfo, time_per_slice_ms

    return ModelInfo.of_file(
        file,
        config.name or (config.model.name if config.model.is_dir() else config.model.stem),
        config.role,
        parameters=parameters,
        ms_per_slice=time_per_slice_ms(one_slice, predictor.spec.input_shape),
    )


def _is_bundle(path: Path) -> bool:
    return path.is_dir() or path.suffix.lower() == ".zip"
