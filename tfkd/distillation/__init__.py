"""Teacher to student: the Distiller, its teachers, and the published ways to fill it."""

from tfkd.distillation import methods
from tfkd.distillation.batchnorm import recalibrate_batchnorm
from tfkd.distillation.distiller import Distiller
from tfkd.distillation.freeze import FreezeCheck
from tfkd.distillation.teacher_cache import cache_teacher, teacher_cache_folder
from tfkd.distillation.teachers import Teachers

__all__ = [
    "Distiller",
    "FreezeCheck",
    "Teachers",
    "cache_teacher",
    "methods",
    "recalibrate_batchnorm",
    "teacher_cache_folder",
]
