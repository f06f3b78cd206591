"""Small networks that learn from a teacher and run on the edge device."""

from tfkd.models.students.enet import ENet
from tfkd.models.students.mobilenetv2 import MobileNetV2

__all__ = ["ENet", "MobileNetV2"]
