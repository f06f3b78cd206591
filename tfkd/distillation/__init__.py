"""Teacher to student: the Distiller and the published ways to fill it."""

from tfkd.distillation import methods
from tfkd.distillation.distiller import Distiller

__all__ = ["Distiller", "methods"]
