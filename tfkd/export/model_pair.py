"""A model file and its contract, which come and go together."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tfkd.inference import contract_path
from tfkd.volumes import atomic_path

__all__ = ["writing_model_pair"]


@contextmanager
def writing_model_pair(path: Path) -> Iterator[tuple[Path, Path]]:
    """Give temporary paths for a `.tflite` file and its contract, put in place if all goes well.

    Args:
        path: where the file is to be. What is there is replaced, as a pair, after the block.

    Yields:
        The temporary file and the temporary contract.
    """
    # The inner file is renamed first, and the old contract is gone by then: whenever a crash comes,
    # no model lies beside a contract that is not its own.
    with atomic_path(contract_path(path)) as new_contract, atomic_path(path) as new_model:
        yield new_model, new_contract
        contract_path(path).unlink(missing_ok=True)
