"""Small networks that learn from a teacher and run on the edge device."""

from tfkd.models.students.enet import ENet
from tfkd.models.students.espnet import ESPNet
from tfkd.models.students.mobilenetv2 import MobileNetV2
from tfkd.models.students.resnet18 import ResNet18

__all__ = ["ENet", "ESPNet", "MobileNetV2", "ResNet18"]
