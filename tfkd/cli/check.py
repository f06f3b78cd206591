"""`tfkd check`: is a bundle whole, and does this machine compute what was exported?"""

import time
from dataclasses import dataclass
from pathlib import Path

from tfkd.cli.config import option
from tfkd.errors import ContractError

SUMMARY = "Check bundles on this machine: checksums, contract, golden slice; needs no TensorFlow."
EXAMPLE = "tfkd check student.zip"


@dataclass(frozen=True)
class Config:
    """Settings of `tfkd check`."""

    bundles: tuple[Path, ...] = option("bundles: folders, .zip or .tflite files; one or several")
    threads: int | None = option("threads; all cores when left out", default=None)


def run(config: Config) -> None:
    """Says for each bundle whether it is good, in one line.

    Raises:
        ContractError: One is not; with the reason if it is the only one.
    """
    failed = []
    for path in config.bundles:
        try:
            print(_checked(path, config.threads), flush=True)
        except (ContractError, OSError, ValueError) as error:
            if len(config.bundles) == 1:
                raise
            failed.append(path)
            print(f"{path}: FAILED: {error}", flush=True)
    if failed:
        raise ContractError(
            f"{len(failed)} of {len(config.bundles)} bundles failed: {', '.join(map(str, failed))}."
        )


def _checked(path: Path, threads: int | None) -> str:
    """The line of a good bundle."""
    from tfkd.inference import Predictor

    start = time.perf_counter()
    predictor = Predictor(path, threads)
    agreement = predictor.check()
    seconds = time.perf_counter() - start
    contract = predictor.contract
    height, width, channels = contract.spec.input_shape
    return (
        f"{path}: ok: {contract.quantization}, {contract.size_bytes / 1e6:.2f} MB, {height} × "
        f"{width} × {channels}, {len(contract.label_names)} labels, SHA-256 "
        f"{contract.sha256[:12]}, golden slice {agreement:.2%}, {seconds:.2f} s"
    )
