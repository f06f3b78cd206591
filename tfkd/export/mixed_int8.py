"""int8 files in which the features that suffer most from it stay in floating point."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from tfkd.bench.operators import operator_name
from tfkd.errors import ExportError
from tfkd.export.convert import converting
from tfkd.export.silence import silenced

__all__ = ["FeatureError", "MixedInt8"]

# Errors settle after a few slices, and each one runs on slow reference kernels.
_ERROR_SLICES = 8


@dataclass(frozen=True)
class FeatureError:
    """What int8 makes of one feature, the output of one operator.

    Attributes:
        name: of the feature in the file.
        operator: that makes it, such as "CONV_2D".
        error: mean over its channels of (mean squared error / variance), at most 1 each: 0 is
            exact, 1 is noise. Channels that never change are left out.
        kept: the operators, by the features they make, that compute in floating point if this one
            is to stay so: the one that makes it and those that read it.
    """

    name: str
    operator: str
    error: float
    kept: tuple[str, ...]


class MixedInt8:
    """int8 files of a student with any features left in floating point.

    Calibration, which takes most of the time, is done once. Input and output are float32.

    A feature that has a single range for channels of very different size loses the small ones. It
    is not enough that the operator which makes it computes in floating point, since the operator
    that reads it would quantise it again: both stay.

    Args:
        student: as for `tfkd.export.to_litert`.
        calibration: (n, H, W, C) float32, windowed.

    Attributes:
        worst_first: what int8 makes of every feature, the worst first; measured operator by
            operator: each gets what the int8 file gives it and computes once in int8 and once in
            floating point.

    Raises:
        ExportError: the converter refuses the student.
    """

    def __init__(self, student: keras.Model, calibration: np.ndarray) -> None:
        self._name = student.name
        with converting(student, "int8", calibration) as converter:
            self._debugger = tf.lite.experimental.QuantizationDebugger(
                converter=converter, debug_dataset=lambda: iter(())
            )
            compared = self._debugger.get_debug_quantized_model()
        chosen = np.linspace(0, len(calibration) - 1, min(_ERROR_SLICES, len(calibration)))
        slices = calibration[chosen.round().astype(int)]
        self.worst_first = _worst_first(self._debugger.calibrated_model, compared, slices)

    def content(self, features: Sequence[FeatureError]) -> bytes:
        """Return the file in which these features stay in floating point.

        Args:
            features: of `worst_first`; none gives an int8 file with float32 input and output.

        Raises:
            ExportError: the converter refuses it, as it does when nothing is left in int8.
        """
        kept = sorted({name for feature in features for name in feature.kept})
        options = tf.lite.experimental.QuantizationDebugOptions(denylisted_nodes=kept)
        try:
            with silenced():
                self._debugger.options = options
                return bytes(self._debugger.get_nondebug_quantized_model())
        except Exception as error:  # the converter raises several unrelated types
            raise ExportError(
                f"Student {self._name!r}: the LiteRT converter refused to leave "
                f"{', '.join(kept)} in floating point: {str(error).strip()[:500]}"
            ) from error


def _worst_first(calibrated: bytes, compared: bytes, slices: np.ndarray) -> list[FeatureError]:
    """Return the error of each feature.

    Args:
        calibrated: the float file with ranges.
        compared: the int8 file in which each operator has a twin in floating point, and a
            "NumericVerify" that compares the two: (int8 feature, float feature) → difference.
        slices: (n, H, W, C) float32.
    """
    model = _parse(calibrated)
    (output,) = model.subgraphs[0].outputs
    tensors = model.subgraphs[0].tensors
    makers, readers = _makers_and_readers(model)
    by_name = {tensors[index].name.decode(): index for index in makers}
    found = []
    for name, error in _channel_errors(compared, slices).items():
        # Under another name is only the output.
        index = by_name.get(name, output)
        kept = dict.fromkeys([index, *readers.get(index, ())])
        found.append(
            FeatureError(
                name=tensors[index].name.decode(),
                operator=makers[index],
                error=error,
                kept=tuple(tensors[one].name.decode() for one in kept),
            )
        )
    return sorted(found, key=lambda feature: -feature.error)


def _makers_and_readers(model: Any) -> tuple[dict[int, str], dict[int, list[int]]]:
    """Feature → operator that makes it; feature → features made by the operators that read it."""
    makers: dict[int, str] = {}
    readers: dict[int, list[int]] = {}
    for operator in model.subgraphs[0].operators:
        made = int(operator.outputs[0])
        makers[made] = operator_name(model, operator)
        for index in operator.inputs:
            readers.setdefault(int(index), []).append(made)
    return makers, readers


def _channel_errors(compared: bytes, slices: np.ndarray) -> dict[str, float]:
    graph = (model := _parse(compared)).subgraphs[0]
    pairs = [
        (int(operator.inputs[1]), int(operator.outputs[0]))
        for operator in graph.operators
        if operator_name(model, operator) == "NumericVerify"
    ]
    sums: dict[int, np.ndarray] = {}
    with silenced():  # LiteRT warns that keeping every tensor takes memory
        interpreter = Interpreter(
            model_content=compared,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            experimental_preserve_all_tensors=True,
        )
        interpreter.allocate_tensors()
    for image in slices:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image[None])
        interpreter.invoke()
        for exact, difference in pairs:
            values = _by_channel(interpreter.get_tensor(exact))
            error = _by_channel(interpreter.get_tensor(difference))
            counts = np.full(values.shape[1], len(values))
            new = np.stack(
                [counts, values.sum(0), (values**2).sum(0), (np.nan_to_num(error) ** 2).sum(0)]
            )
            sums[exact] = sums.get(exact, 0) + new
    return {
        graph.tensors[exact].name.decode(): _noise_share(*totals) for exact, totals in sums.items()
    }


def _noise_share(
    count: np.ndarray, total: np.ndarray, squares: np.ndarray, errors: np.ndarray
) -> float:
    """Mean over the channels of error / variance, from their sums."""
    variance = squares / count - (total / count) ** 2
    # What rounding leaves of a constant is no signal.
    changing = variance > 1e-10 * squares / count
    if not changing.any():
        return 0.0
    return float(np.minimum(errors[changing] / count[changing] / variance[changing], 1.0).mean())


def _by_channel(feature: np.ndarray) -> np.ndarray:
    """(…, C) → (n, C) float64."""
    return feature.reshape(-1, feature.shape[-1] if feature.ndim else 1).astype(np.float64)


def _parse(content: bytes) -> Any:
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
