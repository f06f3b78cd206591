"""The exported student that the inference tests use, too."""

from tests.inference.conftest import exported, make_ct, model_path

__all__ = ["exported", "make_ct", "model_path"]
