"""Weights of an encoder of `keras.applications`, put into a network of ours that has its trunk."""

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

__all__ = ["check_weights", "load_encoder"]


def check_weights(network: str, weights: Any, width: float) -> None:
    """Check the argument `weights` before a network is built.

    Args:
        network: Name of the network, for the message.
        weights: None, "imagenet" or the path of a file.
        width: The network's, as checked by `check_arguments`.

    Raises:
        ValueError: If weights are wanted at another width than 1, or the file is not there.
    """
    if weights is None:
        return
    if width != 1.0:
        raise ValueError(
            f"{network}: expected width=1 with weights={str(weights)!r}, since keras.applications "
            f"has none for other widths of this network. Received width={width}; leave weights out "
            "and train from the start, or take width=1."
        )
    if str(weights) != "imagenet" and not Path(weights).is_file():
        raise ValueError(
            f'{network}: expected weights to be None, "imagenet" or the path of a file that '
            f"exists. Received weights={str(weights)!r}."
        )


def load_encoder(
    model: keras.Model,
    application: str,
    weights: str | Path,
    pairs: Iterable[tuple[str, str, str]],
    *,
    input_scale: float = 1.0,
) -> None:
    """Copy the trunk of a network of `keras.applications` into `model`.

    In inference the trunk then computes what the application computes, whatever the two differ in:
    a bias before a BatchNorm is taken into its moving mean, and another epsilon into its gamma. The
    kernels of the first convolution, which see three colours, are summed and spread evenly over the
    channels of a network that has not three, so that it gives the same for the slice repeated.

    Args:
        model: Network at width 1, changed in place.
        application: Name of the function in `keras.applications`.
        weights: "imagenet", which Keras downloads, or a file: of weights (``.weights.h5`` or
            ``.h5``) or a whole model (``.keras``), with the classifier or without.
        pairs: (ours, convolution, BatchNorm): the prefix of a ``<prefix>_conv`` and
            ``<prefix>_bn`` of `model`, and the names of the application's layers; the first
            convolution first.
        input_scale: What the slices, in [-1, 1], are to be multiplied by for the application.

    Raises:
        ValueError: If the file does not fit; the message names the layer.
        OSError: If "imagenet" cannot be downloaded.
    """
    source = _source(application, weights)
    for index, (ours, conv_name, norm_name) in enumerate(pairs):
        conv = _layer(source, conv_name, ("kernel",), application, weights)
        norm = _layer(source, norm_name, ("gamma", "moving_mean"), application, weights)
        kernel = _array(conv.kernel)
        target = model.get_layer(f"{ours}_conv")
        if index == 0:
            kernel = input_scale * _for_channels(kernel, target.kernel.shape[2])
        if kernel.shape != tuple(target.kernel.shape):
            raise ValueError(
                f"Expected weights of keras.applications.{application}, with kernels of shape "
                f"{tuple(target.kernel.shape)} in the layer {conv_name!r}. Received {kernel.shape} "
                f"from {str(weights)!r}."
            )
        target.kernel.assign(kernel)
        bias = 0.0 if getattr(conv, "bias", None) is None else _array(conv.bias)
        _copy_norm(model.get_layer(f"{ours}_bn"), norm, bias)


def _source(application: str, weights: str | Path) -> keras.Model:
    build = getattr(keras.applications, application)
    if str(weights) == "imagenet":
        try:
            return build(input_shape=(224, 224, 3), include_top=False, weights="imagenet")
        except Exception as error:  # keras.utils.get_file raises nothing more special
            raise OSError(
                f"Expected to download the ImageNet weights of keras.applications.{application}. "
                f"Received: {error}. Fetch the file on another machine and pass its path as "
                "weights."
            ) from error
    if Path(weights).suffix == ".keras":
        return keras.saving.load_model(weights, compile=False)
    failures: list[Exception] = []
    for include_top in (False, True):
        model = build(input_shape=(224, 224, 3), include_top=include_top, weights=None)
        # Where a part is missing Keras may only warn, and go on with random weights.
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always", UserWarning)
            try:
                model.load_weights(weights)
            except (ValueError, OSError, KeyError) as error:  # also of a file that is no HDF5
                failures.append(error)
                continue
        if not warned:
            return model
        failures.append(ValueError(str(warned[0].message)))
    # The first line names a layer; the lines after it may print its weights in full.
    reason = (str(failures[0]).strip().splitlines() or ["nothing"])[0].rstrip(":.")
    raise ValueError(
        f"Expected a file of weights of keras.applications.{application}, with its classifier or "
        f"without. Received {str(weights)!r}, of which Keras says: {reason}."
    ) from failures[0]


def _layer(
    source: keras.Model, name: str, needed: tuple[str, ...], application: str, weights: str | Path
) -> Any:
    found = {layer.name: layer for layer in source._flatten_layers()}.get(name)
    if any(getattr(found, attribute, None) is None for attribute in needed):
        raise ValueError(
            f"Expected weights of keras.applications.{application}, with a layer {name!r} that has "
            f"{' and '.join(needed)}. Received {found!r} from {str(weights)!r}."
        )
    return found


def _for_channels(kernel: np.ndarray, channels: int) -> np.ndarray:
    """Kernels on three colours as kernels on `channels` slices."""
    if channels == kernel.shape[2]:
        return kernel
    return np.repeat(kernel.sum(axis=2, keepdims=True) / channels, channels, axis=2)


def _copy_norm(target: Any, source: Any, bias: np.ndarray | float) -> None:
    variance = _array(source.moving_variance)
    larger = np.sqrt((variance + target.epsilon) / (variance + source.epsilon))
    target.gamma.assign(_array(source.gamma) * larger)
    target.beta.assign(_array(source.beta))
    target.moving_mean.assign(_array(source.moving_mean) - bias)
    target.moving_variance.assign(variance)


def _array(variable: Any) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(variable), np.float32)
