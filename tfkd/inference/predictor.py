"""A model file and its contract, ready to segment CT on a device."""

from pathlib import Path

from tfkd.errors import ContractError
from tfkd.inference.contract import Contract
from tfkd.inference.runtime import LiteRTModel
from tfkd.inference.volume_predictor import VolumePredictor

__all__ = ["Predictor"]


class Predictor(VolumePredictor):
    """Segments CT volumes with an exported `.tflite` file; needs neither TensorFlow nor Keras.

    Args:
        path: the `.tflite` file; its contract lies beside it as `.json`.
        threads: for the kernels; None takes the cores this process may use.

    Attributes:
        contract: what the file was exported with.

    Raises:
        ContractError: the model or its contract is missing, unreadable, or they do not match.
        ImportError: ai-edge-litert is not installed.

    Example:
        >>> mask = Predictor("student.tflite")(tfkd.read_volume("ct.nii.gz"))  # doctest: +SKIP
        >>> tfkd.write_volume(mask, "mask.nii.gz")  # doctest: +SKIP
    """

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        self.path = Path(path)
        self.contract = Contract.load(self.path)
        model = LiteRTModel(self.path, threads)
        for side in ("input", "output"):
            expected, received = getattr(self.contract, side), getattr(model, side)
            if expected != received:
                raise ContractError(
                    f"{self.path}: expected the {side} {expected} as its contract states, received "
                    f"{received}. The contract was edited: export the model again."
                )
        super().__init__(
            model,
            self.contract.spec,
            self.contract.label_names,
            threshold=self.contract.threshold,
        )

    def check(self) -> float:
        """Run the contract's golden slice on this machine.

        Returns:
            The fraction of pixels that get the expected label.

        Raises:
            ContractError: too few labels agree, or the logits are too far off: this machine's
                runtime does not compute what was exported.
        """
        golden = self.contract.golden
        agreement, difference = golden.difference(self.logits(golden.image_hu))
        if agreement < golden.min_agreement or difference > golden.logits_tolerance:
            raise ContractError(
                f"{self.path}: expected the golden slice to give the same label in at least "
                f"{golden.min_agreement:.4f} of its pixels and logits within "
                f"{golden.logits_tolerance:.3g}, received {agreement:.4f} and {difference:.3g}. "
                "The runtime on this machine computes something else: install the versions of "
                f"ai-edge-litert and tfkd that wrote the file, {self.contract.created_by}."
            )
        return agreement
