"""Accurate, heavy networks that teach."""

from tfkd.models.teachers.raunet import RAUNet
from tfkd.models.teachers.unet import UNet

__all__ = ["RAUNet", "UNet"]
