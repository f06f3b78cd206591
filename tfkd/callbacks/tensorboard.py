"""TensorBoard is an extra."""

import importlib.util

__all__ = ["require_tensorboard"]


def require_tensorboard() -> None:
    """Raises an `ImportError` that says what to install, if TensorBoard is not."""
    if importlib.util.find_spec("tensorboard") is None:
        raise ImportError(
            "Expected the package `tensorboard`, which is not installed. Install it with "
            "`pip install tfkd[tensorboard]`, or train without TensorBoard."
        )
