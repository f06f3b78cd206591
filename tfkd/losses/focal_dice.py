"""Focal + soft Dice, the supervised loss of the method."""

from typing import Any

import keras
from keras import ops

from tfkd.losses.labels import check_labels, one_hot_labels
from tfkd.losses.pixel_weight import as_pixel_weight
from tfkd.losses.reduction import mean_over_global_batch, sum_over_replicas
from tfkd.losses.xla import xla_compiled

__all__ = ["FocalDice", "focal_dice_loss"]


def focal_dice_loss(
    labels: Any,
    logits: Any,
    sample_weight: Any = None,
    *,
    gamma: float = 2.0,
    dice_share: float = 0.5,
    dice_squares: bool = False,
    smooth: float = 1.0,
) -> Any:
    r"""Focal loss and soft Dice loss, mixed.

    $L = (1 - s)\,\mathrm{mean}_x[-(1 - p_y)^\gamma \log p_y]
    + s\,\mathrm{mean}_{k \ge 1}\left[1 - \frac{2\sum p_k g_k + \epsilon}
    {\sum p_k + \sum g_k + \epsilon}\right]$

    with $p$ the softmax of the logits, $y$ the true class of pixel $x$, $g$ the one-hot labels, $s$
    the share of Dice and $\epsilon$ the smoothing. The focal term is a mean over the pixels of each
    image. The Dice term sums over the pixels of the **whole batch**, class by class, background
    left out, and is the same for every example; under a `tf.distribute` strategy the batch is the
    global one of all replicas.

    Pixels that belong to no class are ignored: both terms are what they would be without them. An
    example then takes part with its share of the batch's labelled pixels, so that the mean over the
    batch is the mean over all labelled pixels; one without any costs 0, and so does a batch.

    A class that is absent from the labels of the batch and that the network does not predict costs
    nothing: both sums vanish and the fraction is ε/ε = 1.

    Args:
        labels: Class indices (N, H, W) or (N, H, W, 1), or one-hot masks (N, H, W, K). A pixel
            with the index 255 (`tfkd.volumes.IGNORE_LABEL`), or with zeros only, is ignored. Of a
            soft mask g, p_y is Σ p_k g_k and log p_y is Σ g_k log p_k.
        logits: Network output (N, H, W, K), before any softmax.
        sample_weight: Weight of each example (N,) or of each pixel (N, H, W). A weight of 0 takes
            the example or pixel out of both terms.
        gamma: Focusing exponent γ ≥ 0; 0 is the cross entropy.
        dice_share: Share s of the Dice term, 0 … 1.
        dice_squares: Whether the denominator of the Dice term has $\sum p_k^2 + \sum g_k$, as V-Net
            has it, instead of $\sum p_k + \sum g_k$. A class that the network hardly sees yet then
            costs less for being looked for.
        smooth: ε > 0, in pixels.

    Returns:
        Tensor of shape (N,), float32, weighted; its mean over the batch is the loss.

    Raises:
        ValueError: If labels and logits have shapes that do not fit together, or if an index is
            neither 0 … K − 1 nor 255. In a compiled step of TensorFlow that is an
            `InvalidArgumentError`; where XLA compiles the step, and on JAX, the loss is NaN.

    Example:
        >>> labels = keras.ops.zeros((2, 8, 8), dtype="int32")
        >>> logits = keras.ops.stack([keras.ops.full((2, 8, 8), v) for v in (9.0, -9.0)], axis=-1)
        >>> bool(keras.ops.max(focal_dice_loss(labels, logits)) < 1e-3)
        True

    References:
        Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017; Milletari et al., "V-Net",
        3DV 2016; their mixture as in Qin et al., IEEE TMI 40(12), 2021.
    """
    labels = check_labels(ops.convert_to_tensor(labels), logits.shape[-1])
    focal, pixel_weight, labelled, overlap, size = _of_replica(
        labels, logits, sample_weight, float(gamma), dice_squares
    )
    # The batch is the global one: the loss must not depend on how many devices share it.
    overlap, size = sum_over_replicas(overlap), sum_over_replicas(size)
    dice = ops.mean(1.0 - (2.0 * overlap + smooth) / (size + smooth))
    values = (1.0 - dice_share) * focal + dice_share * dice * pixel_weight
    return values / _labelled_share(labelled)


def _sums(
    labels: Any, logits: Any, sample_weight: Any, gamma: float, dice_squares: bool
) -> tuple[Any, ...]:
    """What the pixels of this replica add to the loss.

    Returns:
        Per example (N,): the focal term, the mean weight and the mean share of the pixels with a
        label. Per foreground class (K − 1,), over the pixels: Σ p·g and Σ (p + g), or Σ (p² + g).
    """
    truth = _class_first(one_hot_labels(labels, logits.shape[-1]))
    logits = _class_first(ops.cast(logits, "float32"))
    # A pixel outside of every class keeps its probabilities out of the Dice sums.
    labelled = weight = ops.sum(truth, axis=0)
    logits = logits - ops.stop_gradient(ops.max(logits, axis=0))
    exponential = ops.exp(logits)
    total = ops.sum(exponential, axis=0)
    probability = exponential / total
    # Of the true class alone: powers and logarithms of all classes would be most of the work.
    log_true = ops.sum(truth * logits, axis=0) - labelled * ops.log(total)
    # Held off 0, where the slope of x ** gamma is infinite for gamma < 1.
    miss = ops.maximum(1.0 - ops.sum(truth * probability, axis=0), 1e-7)
    focal = -(miss**gamma) * log_true
    if sample_weight is not None:
        given = as_pixel_weight(sample_weight)
        weight, focal = weight * given, focal * given
    found = ops.square(probability) if dice_squares else probability
    overlap = ops.sum(weight * probability * truth, axis=(1, 2, 3))[1:]
    size = ops.sum(weight * (found + truth), axis=(1, 2, 3))[1:]
    focal, weight, labelled = (ops.mean(one, axis=(1, 2)) for one in (focal, weight, labelled))
    return focal, weight, labelled, overlap, size


def _class_first(values: Any) -> Any:
    """(N, H, W, K) as (K, N, H, W): loops over pixels are vectorised, over a few classes not."""
    return ops.transpose(values, (3, 0, 1, 2))


# All but what the replicas tell each other is one XLA program, a twentieth of the operations' time.
_of_replica = xla_compiled(_sums)


def _labelled_share(labelled: Any) -> Any:
    """Mean over the pixels of the global batch; 1 where it is 0, as there is nothing to divide."""
    count = ops.sum(ops.ones_like(labelled))  # N, which differs between replicas
    total, count = ops.unstack(sum_over_replicas(ops.stack([ops.sum(labelled), count])))
    return ops.where(total > 0, total / ops.maximum(count, 1.0), 1.0)


@keras.saving.register_keras_serializable(package="tfkd")
class FocalDice(keras.losses.Loss):
    """Focal + soft Dice as a loss for `compile`; see `focal_dice_loss`.

    Args:
        gamma: Focusing exponent γ ≥ 0.
        dice_share: Share of the Dice term, 0 … 1.
        smooth: Smoothing ε of the Dice term, in pixels.
        name: Name of the loss.
        dice_squares: Whether probabilities are squared in the denominator of the Dice term.
    """

    def __init__(
        self,
        gamma: float = 2.0,
        dice_share: float = 0.5,
        smooth: float = 1.0,
        name: str = "focal_dice",
        *,
        dice_squares: bool = False,
    ) -> None:
        if gamma < 0 or smooth <= 0 or not 0 <= dice_share <= 1:
            raise ValueError(
                "Expected gamma >= 0, 0 <= dice_share <= 1 and smooth > 0. "
                f"Received gamma={gamma}, dice_share={dice_share}, smooth={smooth}."
            )
        super().__init__(name=name)
        self.gamma = gamma
        self.dice_share = dice_share
        self.dice_squares = dice_squares
        self.smooth = smooth

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        # The base class would multiply by the weights afterwards, when the Dice sums are closed.
        return mean_over_global_batch(self._values(y_true, y_pred, sample_weight))

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """One value per example, unweighted."""
        return self._values(y_true, y_pred, None)

    def _values(self, y_true: Any, y_pred: Any, sample_weight: Any) -> Any:
        return focal_dice_loss(
            y_true,
            y_pred,
            sample_weight,
            gamma=self.gamma,
            dice_share=self.dice_share,
            dice_squares=self.dice_squares,
            smooth=self.smooth,
        )

    def get_config(self) -> dict[str, Any]:
        """Arguments that rebuild the loss."""
        return {
            "gamma": self.gamma,
            "dice_share": self.dice_share,
            "dice_squares": self.dice_squares,
            "smooth": self.smooth,
            "name": self.name,
        }
