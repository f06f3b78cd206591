"""Networks by name, for the command line; this file does not import Keras until it builds one."""

import importlib
import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

__all__ = ["STUDENTS", "TEACHERS", "build"]

TEACHERS = ("UNet", "UNetPlusPlus", "RAUNet", "PSPNet")
"""Names of the networks meant as teachers."""

STUDENTS = ("ENet", "ESPNet", "MobileNetV2", "ResNet18")
"""Names of the networks meant as students."""


def build(
    name: str,
    input_shape: tuple[int, int, int] = (256, 256, 1),
    num_classes: int = 2,
    width: float = 1.0,
    **options: Any,
) -> "keras.Model":
    """Build a network by its name.

    Args:
        name: One of `TEACHERS` or `STUDENTS`; case and hyphens do not matter
            ("u-net" is "UNet"), and "++" is "PlusPlus".
        input_shape: (H, W, C).
        num_classes: Classes with the background, at least 2.
        width: Factor on every channel count.
        **options: What that network takes besides, such as `weights="imagenet"` of MobileNetV2.

    Returns:
        The Functional model.

    Raises:
        ValueError: If no network has that name (the names are listed), or an argument is out of
            range or none of that network's.

    Example:
        >>> build("enet", (64, 64, 1), num_classes=3, width=0.5).output_shape
        (None, 64, 64, 3)
    """
    wanted = _key(name)
    for package, names in (("teachers", TEACHERS), ("students", STUDENTS)):
        for known in names:
            if _key(known) == wanted:
                module = importlib.import_module(f"tfkd.models.{package}")
                network = getattr(module, known)
                _check_options(known, network, options)
                return network(input_shape, num_classes, width, **options)
    raise ValueError(
        f"Expected the name of a network: {', '.join(TEACHERS)} (teachers) or "
        f"{', '.join(STUDENTS)} (students). Received {name!r}."
    )


def _check_options(name: str, network: Any, options: dict[str, Any]) -> None:
    taken = list(inspect.signature(network).parameters)[3:]
    unknown = sorted(set(options) - set(taken))
    if unknown:
        raise ValueError(
            f"{name}: expected no other options than {', '.join(taken)}. Received "
            f"{', '.join(unknown)}."
        )


def _key(name: str) -> str:
    return str(name).casefold().replace("-", "").replace("_", "").replace("+", "plus")
