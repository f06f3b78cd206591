"""Accurate, heavy networks that teach."""

from tfkd.models.teachers.pspnet import PSPNet
from tfkd.models.teachers.raunet import RAUNet
from tfkd.models.teachers.unet import UNet
from tfkd.models.teachers.unetplusplus import UNetPlusPlus

__all__ = ["PSPNet", "RAUNet", "UNet", "UNetPlusPlus"]
