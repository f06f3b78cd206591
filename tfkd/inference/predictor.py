"""A model file and its contract, ready to segment CT on a device."""

from pathlib import Path

from tfkd.errors import ContractError
from tfkd.inference.bundle import open_bundle
from tfkd.inference.contract import Contract
from tfkd.inference.mirrored import mirrored
from tfkd.inference.runtime import LiteRTModel
from tfkd.inference.volume_predictor import VolumePredictor
from tfkd.volumes import window

__all__ = ["Predictor"]


class Predictor(VolumePredictor):
    """Segments CT volumes with an exported `.tflite` file; needs neither TensorFlow nor Keras.

    Args:
        path: the `.tflite` file, with its contract beside it as `.json`; or the bundle that holds
            both, a folder or a `.zip`.
        threads: for the kernels; None takes the cores this process may use.
        flips: whether to average each slice with its left-right mirror image, which takes twice the
            time and helps networks that were trained with mirror images; see `mirrored`.
        postprocessing: whether to do with the mask what the contract asks for.

    Attributes:
        contract: what the file was exported with.

    Raises:
        ContractError: the model or its contract is missing, unreadable, or they do not match.
        ImportError: ai-edge-litert is not installed.

    Example:
        >>> mask = Predictor("student.tflite")(tfkd.read_volume("ct.nii.gz"))  # doctest: +SKIP
        >>> tfkd.write_volume(mask, "mask.nii.gz")  # doctest: +SKIP
    """

    def __init__(
        self,
        path: str | Path,
        threads: int | None = None,
        *,
        flips: bool = False,
        postprocessing: bool = True,
    ) -> None:
        self.path = Path(path)
        with open_bundle(self.path) as model_path:
            self.contract = Contract.load(model_path)
            model = LiteRTModel(model_path, threads)
        for side in ("input", "output"):
            expected, received = getattr(self.contract, side), getattr(model, side)
            if expected != received:
                raise ContractError(
                    f"{self.path}: expected the {side} {expected} as its contract states, received "
                    f"{received}. The contract was edited: export the model again."
                )
        self._model = model
        super().__init__(
            mirrored(model) if flips else model,
            self.contract.spec,
            self.contract.label_names,
            batch_size=model.workers,
            threshold=self.contract.threshold,
            postprocessing=self.contract.postprocessing if postprocessing else None,
            overlap=True,
        )

    def check(self) -> float:
        """Run the contract's golden slice on this machine, without its mirror image.

        Returns:
            The fraction of pixels that get the expected label.

        Raises:
            ContractError: too few labels agree, or the logits are too far off or not finite: this
                machine's runtime does not compute what was exported.
        """
        golden = self.contract.golden
        images = window(golden.image_hu, self.contract.spec)[None]
        agreement, difference = golden.difference(self._model(images)[0])
        if agreement < golden.min_agreement or difference > golden.logits_tolerance:
            raise ContractError(
                f"{self.path}: expected the golden slice to give the same label in at least "
                f"{golden.min_agreement:.4f} of its pixels and logits within "
                f"{golden.logits_tolerance:.3g}, received {agreement:.4f} and {difference:.3g}. "
                "The runtime on this machine computes something else: install the versions of "
                f"ai-edge-litert and tfkd that wrote the file, {self.contract.created_by}."
            )
        return agreement
