"""Importance map distillation (IMD): where the network looks."""

from typing import Any

import keras
from keras import ops

from tfkd.losses.distillation_loss import DistillationLoss
from tfkd.losses.sizes import match_size

__all__ = ["ImportanceMapDistillation", "importance_map_loss"]

# Keeps the norm of an all-zero map differentiable; far below any real map's squared norm.
_EPSILON = 1e-12


def importance_map_loss(
    teacher_features: Any, student_features: Any, labels: Any = None, *, power: float = 4.0
) -> Any:
    r"""Squared distance of the normalised importance maps.

    $L = \|\hat a_s - \hat a_t\|_2^2$ with $\hat a = a / \|a\|_2$ per image and
    $a = \mathrm{vec}(\mathrm{mean}_c |F_c|^p)$

    The student's map is resized bilinearly to the teacher's size where they differ. The channel
    counts need not agree. The value lies in [0, 2] and does not depend on the features' scale: two
    proportional features cost 0, features with disjoint support cost 2.

    Args:
        teacher_features: Teacher features (N, h, w, c).
        student_features: Student features (N, h', w', c').
        labels: Not used; present because every distillation loss takes it.
        power: Exponent p ≥ 1. 4 in the reference implementation; the paper's text has 1.

    Returns:
        Tensor of shape (N,), float32. Features that are zero everywhere give a map of zeros: 0 if
        both are, 1 if only one is. Labels play no part, so an empty mask changes nothing.

    Example:
        >>> features = keras.random.normal((2, 8, 8, 3))
        >>> bool(keras.ops.max(importance_map_loss(features, 5.0 * features)) < 1e-6)
        True

    References:
        Eq. 3 and 4 of Qin et al., IEEE TMI 40(12), 2021, after Zagoruyko and Komodakis, ICLR 2017.
    """
    del labels
    return _distance(_importance(teacher_features, power), student_features, power)


def _distance(teacher_map: Any, student_features: Any, power: float) -> Any:
    """Squared distance of a teacher's map (N, h, w, 1) and a student's features, (N,)."""
    student = _importance(student_features, power)
    student = match_size(student, *teacher_map.shape[1:3])
    difference = _normalise(student) - _normalise(teacher_map)
    return ops.sum(ops.square(difference), axis=(1, 2, 3))


def _importance(features: Any, power: float) -> Any:
    # float32 before the power: x⁴ overflows float16 beyond 16.
    return ops.mean(_power(ops.cast(features, "float32"), power), axis=-1, keepdims=True)


def _power(features: Any, power: float) -> Any:
    """|F|^p; the usual exponents by multiplication, a tenth of the time of a general power."""
    if power == 4:
        return ops.square(ops.square(features))
    if power == 2:
        return ops.square(features)
    magnitude = ops.abs(features)
    return magnitude if power == 1 else magnitude**power


def _normalise(importance: Any) -> Any:
    # Brought to mean 1 first, so that ε is small whatever the features' scale and power. The result
    # does not depend on this factor, so no gradient is needed through it.
    mean = ops.stop_gradient(ops.mean(importance, axis=(1, 2), keepdims=True))
    scaled = importance / ops.where(mean > 0, mean, 1.0)
    norm = ops.sqrt(ops.sum(ops.square(scaled), axis=(1, 2), keepdims=True) + _EPSILON)
    return scaled / norm


@keras.saving.register_keras_serializable(package="tfkd")
class ImportanceMapDistillation(DistillationLoss):
    """Importance map distillation at one pair of layers; see `importance_map_loss`.

    Args:
        teacher_layer_name: Teacher layer.
        student_layer_name: Student layer; the teacher layer's name by default.
        power: Exponent p ≥ 1.
        name: Name of the curve; `importance_map_<teacher layer>` by default.
    """

    def __init__(
        self,
        teacher_layer_name: str = "tap_high",
        student_layer_name: str | None = None,
        power: float = 4.0,
        name: str | None = None,
    ) -> None:
        if power < 1:
            raise ValueError(f"Expected power >= 1. Received {power}.")
        super().__init__(
            teacher_layer_name,
            student_layer_name or teacher_layer_name,
            name or f"importance_map_{teacher_layer_name}",
        )
        self.power = power

    def compute_loss(self, teacher: Any, student: Any, labels: Any) -> Any:
        """One value per example (N,)."""
        return importance_map_loss(teacher, student, labels, power=self.power)

    def summarize(self, teacher: Any, labels: Any) -> dict[str, Any]:
        """The teacher's importance map, normalised: one channel instead of all, in [0, 1]."""
        del labels
        return {"map": _normalise(_importance(teacher, self.power))}

    def compare(self, summary: dict[str, Any], student: Any, labels: Any) -> Any:
        """One value per example (N,)."""
        del labels
        # Normalised anew: a map that has been moved with its slice has lost its edges.
        return _distance(summary["map"], student, self.power)

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the loss."""
        return {**super().get_config(), "power": self.power}
