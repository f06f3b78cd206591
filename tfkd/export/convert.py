"""Student → bytes of a LiteRT file, with builtin operators only."""

import contextlib
import re
import tempfile
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

from tfkd.errors import ExportError
from tfkd.export.convert_in_child import convert_in_child, crashing_layers, risky_layers
from tfkd.export.quantization.quantization_aware import check_exportable, is_quantization_aware
from tfkd.export.silence import silenced
from tfkd.models.precision import as_float32

__all__ = ["CALIBRATED", "configure", "convert", "converting", "float_operators"]

# Formats whose activations have fixed ranges.
CALIBRATED = ("int8", "int16x8")

INPUT_NAME = "image"
OUTPUT_NAME = "logits"

# TensorFlow says so of operators that have no LiteRT kernel.
_UNSUPPORTED = re.compile(r"^(?:TF Select|Custom) ops: (.+)$", re.MULTILINE)


def convert(student: keras.Model, quantization: str, calibration: np.ndarray | None) -> bytes:
    """Return the student as a LiteRT file of batch 1, input "image", output "logits".

    It runs in this process: a child process would need five seconds for TensorFlow alone. The price
    is memory that the converter keeps, a few MB a call. Only for integers, and with layers that may
    crash the converter (`risky_layers`), a child process does it, from a SavedModel.

    Args:
        student: one input (N, H, W, C) of fixed size, one output.
        quantization: one of `tfkd.inference.QUANTIZATIONS`; "int16x8" leaves operators that have
            no such kernel in floating point.
        calibration: (n, H, W, C) float32, for "int8" and "int16x8" only. Not used for a student of
            `quantization_aware`, which has its ranges in it.

    Raises:
        ExportError: an operator has no LiteRT kernel (the message names it), or, for int8, can be
            computed in floating point only, or the converter crashed (it names the layers).
    """
    aware = is_quantization_aware(student)
    if quantization in CALIBRATED and not aware and risky_layers(student):
        content = _convert_apart(student, quantization, calibration)
    else:
        with converting(student, quantization, calibration) as converter:
            content = converter.convert()
    if quantization == "int8" and (islands := float_operators(content)):
        raise ExportError(
            f"Student {student.name!r}: expected integer operators only, received operators that "
            f"LiteRT can compute in floating point only: {', '.join(islands)}. Replace them (for "
            "instance GroupNormalization by BatchNormalization), or export float16."
        )
    return content


@contextlib.contextmanager
def converting(
    student: keras.Model, quantization: str, calibration: np.ndarray | None
) -> Iterator[tf.lite.TFLiteConverter]:
    """Give a converter that is set up as for `convert`, and say clearly what goes wrong in it.

    Args:
        student: as for `convert`.
        quantization: as for `convert`.
        calibration: as for `convert`.

    Yields:
        The converter; what the block prints is discarded.

    Raises:
        ExportError: the block raised anything, or a quantisation-aware student is to become
            something else than int8, or has no ranges yet.
    """
    if is_quantization_aware(student):
        check_exportable(student, quantization)
        calibration = None
    elif quantization in CALIBRATED and (layers := crashing_layers(student)):
        raise ExportError(
            f"Student {student.name!r} as {quantization}: expected layers whose integer ranges the "
            f"LiteRT converter can take without a crash, received {', '.join(layers[:3])}. Export "
            "float32, float16 or dynamic_int8, or build the student without them."
        )
    with silenced(), tempfile.TemporaryDirectory() as folder:
        # LiteRT has no kernels for a graph of float16 with casts.
        _save_frozen(as_float32(student), folder)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        configure(converter, quantization, calibration)
        try:
            yield converter
        except Exception as error:  # the converter raises several unrelated types
            raise _export_error(student, error) from error


def _convert_apart(
    student: keras.Model, quantization: str, calibration: np.ndarray | None
) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        with silenced():
            _save_frozen(as_float32(student), folder)
        try:
            return convert_in_child(
                folder, quantization, calibration, student.name, risky_layers(student)
            )
        except RuntimeError as error:
            raise _export_error(student, error) from error


def _save_frozen(student: keras.Model, folder: str) -> None:
    """Write a SavedModel of batch 1 with the contract's names and the weights as constants.

    `TFLiteConverter.from_keras_model` gives the same file four times slower: it spends its time on
    functions that save and restore variables, and there are none here.
    """
    trainable = [tf.constant(variable.numpy()) for variable in student.trainable_variables]
    other = [tf.constant(variable.numpy()) for variable in student.non_trainable_variables]
    shape = (1, *student.inputs[0].shape[1:])

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.float32, name=INPUT_NAME)])
    def serve(image: tf.Tensor) -> dict[str, tf.Tensor]:
        with tf.name_scope("student"):  # a layer's name may start with what no outermost scope may
            outputs, _ = student.stateless_call(trainable, other, image, training=False)
        # Flattened, since a model made as keras.Model([image], [logits]) returns a list.
        (logits,) = keras.tree.flatten(outputs)
        return {OUTPUT_NAME: logits}

    tf.saved_model.save(tf.Module(), folder, signatures={"serving_default": serve})


def configure(
    converter: tf.lite.TFLiteConverter, quantization: str, calibration: np.ndarray | None
) -> None:
    """Sets a converter up as for `convert`."""
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if quantization != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantization == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantization == "int8":
        if calibration is not None:  # which the converter demands with these operators
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.int8
        converter.inference_output_type = tf.int8
    if quantization == "int16x8":
        # With the builtins beside them: PReLU, for one, has no such kernel.
        int16x8 = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        converter.target_spec.supported_ops = [int16x8, tf.lite.OpsSet.TFLITE_BUILTINS]
    if quantization in CALIBRATED and calibration is not None:
        converter.representative_dataset = lambda: ([image[None]] for image in calibration)


def _export_error(student: keras.Model, error: Exception) -> ExportError:
    found = _UNSUPPORTED.findall(str(error))
    operators = sorted({name for names in found for name in names.split(", ")})
    if operators:
        return ExportError(
            f"Student {student.name!r}: expected operators that LiteRT has built in, received "
            f"{', '.join(operators)}. A file with them would need TensorFlow on the device: "
            "replace the layers that use them."
        )
    return ExportError(
        f"Student {student.name!r}: the LiteRT converter refused it: {str(error).strip()[:500]}"
    )


def float_operators(content: bytes) -> list[str]:
    """Return the names of the operators that read or write floating-point tensors.

    Args:
        content: bytes of a LiteRT file.

    Returns:
        Names such as "SQUARE", sorted, each once, without the casts QUANTIZE and DEQUANTIZE; empty
        for a file that computes in integers only.
    """
    names = {value: name for name, value in vars(schema.BuiltinOperator).items()}
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    found = set()
    for graph in model.subgraphs:
        for operator in graph.operators:
            indices = [index for index in (*operator.inputs, *operator.outputs) if index >= 0]
            if any(graph.tensors[index].type == schema.TensorType.FLOAT32 for index in indices):
                found.add(names[model.operatorCodes[operator.opcodeIndex].builtinCode])
    return sorted(found - {"QUANTIZE", "DEQUANTIZE"})
