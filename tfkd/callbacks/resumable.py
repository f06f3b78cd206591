"""What a callback must offer so that a resumed training goes on as if it had not been stopped."""

from collections.abc import Mapping, Sequence

import keras

__all__ = ["ResumableCallback"]


class ResumableCallback(keras.callbacks.Callback):
    """A callback whose whole state follows from the logs of the finished epochs.

    So the checkpoint needs nothing from it, and it needs no file of its own. `fit_resumable` calls
    `on_resume` before every `fit`, also at the very beginning.
    """

    def on_resume(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Takes the state that the callback had after the given epochs.

        Args:
            rows: Logs of every finished epoch, from epoch 0; none for a new training.
        """
        raise NotImplementedError
