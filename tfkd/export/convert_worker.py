"""Process of `convert_in_child`: a SavedModel becomes a file, or the reason why not."""

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfkd.export.convert import configure
from tfkd.export.convert_in_child import CALIBRATION_NAME, ERROR_NAME, FILE_NAME

__all__ = ["main"]


def main(folder: str, quantization: str) -> None:
    """Writes the converted file into the folder, or a text with the converter's error.

    Args:
        folder: Of the SavedModel.
        quantization: As for `convert`.
    """
    ranges_from = Path(folder, CALIBRATION_NAME)
    calibration = np.load(ranges_from) if ranges_from.exists() else None
    try:
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        configure(converter, quantization, calibration)
        content = converter.convert()
    except Exception as error:  # the converter raises several unrelated types
        Path(folder, ERROR_NAME).write_text(str(error), encoding="utf-8")
        return
    # Whole or not at all: the process may be ended at any moment.
    partial = Path(folder, f"{FILE_NAME}.partial")
    partial.write_bytes(content)
    partial.replace(Path(folder, FILE_NAME))


if __name__ == "__main__":
    main(*sys.argv[1:])
