"""A network is used on data like that which it was trained on."""

from pathlib import Path
from typing import TYPE_CHECKING

from tfkd.cli.config import ConfigError

if TYPE_CHECKING:
    import keras

    from tfkd.volumes import DataFacts

__all__ = ["check_trained_on"]


def check_trained_on(
    path: Path, network: "keras.Model", facts: "DataFacts", records: str | Path
) -> None:
    """Compares what a network was trained on with records; says if it is not known.

    Args:
        path: File of the network.
        network: The network, from `tfkd.models.load_network`.
        facts: Of the records.
        records: Their folder, or what else has these facts.

    Raises:
        ConfigError: If they differ; names every field.
    """
    from tfkd.models import facts_of

    own = facts_of(network)
    if own is None:
        print(
            f"{path}: the file does not say what the network was trained on, so the window, the "
            f"spacing and the names of the labels could not be compared with {records}."
        )
    elif own != facts:
        raise ConfigError(
            f"{path}: expected a network that was trained on data like {records}, received one "
            f"that was trained with {'; '.join(own.differences(facts))}. Give records that were "
            "prepared with the network's settings, or train a network on these."
        )
