"""How long a network takes for one slice."""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["time_per_slice_ms"]


def time_per_slice_ms(
    logits_fn: Callable[[NDArray[np.float32]], Any],
    input_shape: Sequence[int],
    *,
    repeats: int = 20,
    warmup: int = 3,
) -> float:
    """Median time of one slice through a network at batch 1, milliseconds.

    Args:
        logits_fn: (1, H, W, C) float32 -> logits; the result is brought to NumPy inside the timing,
            so that an asynchronous call is waited for.
        input_shape: (H, W, C).
        repeats: timed calls, at least 1.
        warmup: calls before the timing (tracing, caches).

    Returns:
        Milliseconds > 0, of noise in [-1, 1] (no network here has a running time that depends on
        the values).

    Raises:
        ValueError: if `input_shape` is not (H, W, C) or `repeats` is below 1.
    """
    if len(input_shape) != 3 or repeats < 1:
        raise ValueError(
            "Expected input_shape (H, W, C) and repeats of at least 1. "
            f"Received: input_shape={tuple(input_shape)}, repeats={repeats}"
        )
    noise = np.random.default_rng(0).uniform(-1, 1, (1, *input_shape)).astype(np.float32)
    for _ in range(warmup):
        np.asarray(logits_fn(noise))
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        np.asarray(logits_fn(noise))
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)
