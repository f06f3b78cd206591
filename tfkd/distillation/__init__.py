"""Teacher to student: the Distiller and the published ways to fill it."""

from tfkd.distillation import methods
from tfkd.distillation.batchnorm import recalibrate_batchnorm
from tfkd.distillation.distiller import Distiller
from tfkd.distillation.freeze import FreezeCheck
from tfkd.distillation.teachers import Teachers

__all__ = ["Distiller", "FreezeCheck", "Teachers", "methods", "recalibrate_batchnorm"]
