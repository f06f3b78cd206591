"""What int8 costs a trained student on whole volumes, and what training for it brings back.

python benchmarks/quality/qat/own_student.py student.keras records/abdomen --out runs/qat_own
"""

import argparse
from pathlib import Path
from statistics import mean, stdev

from tfkd import records
from tfkd.cli.export_qat import train_for_int8
from tfkd.evaluation import VolumeScorer
from tfkd.export import keras_predictor, to_litert
from tfkd.inference import Predictor
from tfkd.training import load_network


def main() -> None:
    """Prints Dice in points: floating point, int8 after training, and int8 trained for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("student", type=Path, help="trained student, .keras")
    parser.add_argument("records", type=Path, help="its records, with validation patients")
    parser.add_argument("--out", type=Path, required=True, help="folder of the files")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--steps-per-epoch", type=int, default=100)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    student = load_network(options.student)
    data = records.load(options.records, steps_per_epoch=options.steps_per_epoch)
    spec, names = data.spec, data.label_names
    calibration = data.calibration()
    cases = data.manifest.case_files("validation", verify=True)
    scorer = VolumeScorer(data.manifest, cases)

    def points(predictor: Predictor, name: str) -> float:
        return 100 * mean(scorer.label_dice(predictor, name).values())

    def of_file(network: object, name: str) -> float:
        path = options.out / f"{name}.tflite"
        slices = calibration if network is student else None  # the other one brings its ranges
        to_litert(
            network,
            path,
            quantization="int8",
            calibration=slices,
            spec=spec,
            label_names=names,
            min_agreement=0,
        )
        return points(Predictor(path), name)

    print(f"floating point: {points(keras_predictor(student, spec, names), 'Keras'):.2f}")
    print(f"int8 after training: {of_file(student, 'int8'):.2f}")
    trained = []
    for seed in options.seeds:
        data = records.load(options.records, steps_per_epoch=options.steps_per_epoch, seed=seed)
        kept = options.out / f"trained_{seed}.keras"
        network = train_for_int8(student, calibration, data, options.epochs, seed, kept)
        trained.append(of_file(network, f"int8_trained_{seed}"))
        print(f"trained for int8, seed {seed}: {trained[-1]:.2f}", flush=True)
    if len(trained) > 1:
        print(f"trained for int8: {mean(trained):.2f} ± {stdev(trained):.2f}")


if __name__ == "__main__":
    main()
