"""A file and its contract under another name."""

from dataclasses import replace
from pathlib import Path

from tfkd.export.model_pair import writing_model_pair
from tfkd.inference import Contract

__all__ = ["copy_model"]


def copy_model(source: Path, target: Path) -> None:
    """Copy a `.tflite` file and its contract, which then names the copy.

    Args:
        source: the file; its contract lies beside it.
        target: where to, ending in `.tflite`. What is there is replaced, as a pair.

    Raises:
        ContractError: file or contract is missing, or they do not match.
    """
    contract = replace(Contract.load(source), file=target.name)
    with writing_model_pair(target) as (new_model, new_contract):
        new_model.write_bytes(source.read_bytes())
        contract.save(new_contract)
