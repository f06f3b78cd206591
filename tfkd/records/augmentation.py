"""Random variation of slices: image and mask move together and are resampled once."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import keras
import tensorflow as tf

from tfkd.volumes import AIR_HU

__all__ = ["DEFAULT_AUGMENTATION", "Augmentation", "AugmentationLayer"]

# Rows and columns of the random displacements that an elastic deformation is spanned by.
_ELASTIC_GRID = 5


@dataclass(frozen=True)
class Augmentation:
    """Ranges that every training slice's variation is drawn from, uniformly.

    Args:
        rotation_degrees: Largest rotation in plane, either way.
        scale: Smallest and largest magnification.
        shift: Largest shift, as a fraction of height and width, either way.
        elastic: Largest displacement of an elastic deformation, as a fraction of the height;
            0 turns it off. It costs about as much as all the rest together.
        intensity_shift_hu: Largest shift of all HU, either way.
        contrast: Smallest and largest factor on HU, about the middle of the window.
        flip_left_right: Whether to mirror half of the slices. Off by default: a mirrored
            abdomen has its liver on the wrong side.
        flip_front_back: Whether to turn half of the slices upside down.

    Raises:
        ValueError: If a range is not one.
    """

    rotation_degrees: float = 10.0
    scale: tuple[float, float] = (0.9, 1.1)
    shift: float = 0.05
    elastic: float = 0.0
    intensity_shift_hu: float = 10.0
    contrast: tuple[float, float] = (0.9, 1.1)
    flip_left_right: bool = False
    flip_front_back: bool = False

    def __post_init__(self) -> None:
        for name in ("rotation_degrees", "shift", "elastic", "intensity_shift_hu"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: expected 0 or more, received {getattr(self, name)}.")
        for name in ("scale", "contrast"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ValueError(
                    f"{name}: expected (low, high) with 0 < low <= high, received {(low, high)}."
                )
            object.__setattr__(self, name, (float(low), float(high)))


DEFAULT_AUGMENTATION = Augmentation()


@keras.saving.register_keras_serializable(package="tfkd")
class AugmentationLayer(keras.layers.Layer):
    """Applies an `Augmentation` to a batch of slices in HU.

    Rotation, scale, shift, flips (and the elastic deformation) are composed to one mapping, so
    that the image is interpolated once: bilinear for the image, nearest for the mask. Pixels from
    outside of the slice are air and background. What is drawn depends on the seed given to the
    call and on nothing else, so that a parallel `tf.data` pipeline stays reproducible; the stock
    Keras layers draw from a shared counter, whose order is not.

    Args:
        augmentation: The ranges.
        window_hu: The HU window whose middle `contrast` turns about.

    Call arguments:
        inputs: ``{"images": (N, H, W, C) float32 HU, "segmentation_masks": (N, H, W) int32}``.
        seed: (2,) integers.

    Returns:
        The same dictionary; the image float32 in HU, the mask int32.
    """

    def __init__(
        self,
        augmentation: Augmentation | dict[str, Any] = DEFAULT_AUGMENTATION,
        window_hu: tuple[float, float] = (-60.0, 140.0),
        **kwargs: Any,
    ) -> None:
        # float32 whatever the global policy: half precision cannot tell 1000 HU from 1000.5.
        super().__init__(**{"dtype": "float32", **kwargs})
        if isinstance(augmentation, dict):
            augmentation = Augmentation(**augmentation)
        self.augmentation = augmentation
        self.window_hu = (float(window_hu[0]), float(window_hu[1]))

    def get_config(self) -> dict[str, Any]:
        """Everything needed to make the layer again."""
        facts = {"augmentation": asdict(self.augmentation), "window_hu": self.window_hu}
        return {**super().get_config(), **facts}

    def call(self, inputs: dict[str, tf.Tensor], seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Varies a batch."""
        images, masks = inputs["images"], inputs["segmentation_masks"]
        seed = tf.cast(seed, tf.int64)
        images = self._vary_intensity(images, seed)
        transforms = self._draw_affine(images, seed)
        if self.augmentation.elastic > 0:
            rows, columns = self._bent_grid(images, transforms, seed)
            images = _sample_bilinear(images, rows, columns, float(AIR_HU))
            masks = _sample_nearest(masks, rows, columns)
        else:
            images = keras.ops.image.affine_transform(
                images, transforms, interpolation="bilinear", fill_value=float(AIR_HU)
            )
            masks = keras.ops.image.affine_transform(
                masks[..., None], transforms, interpolation="nearest", fill_value=0
            )[..., 0]
        return {"images": images, "segmentation_masks": tf.cast(masks, tf.int32)}

    def _vary_intensity(self, images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        ranges = self.augmentation
        middle = sum(self.window_hu) / 2
        shape = (tf.shape(images)[0], 1, 1, 1)
        factor = _uniform(shape, seed, 0, *ranges.contrast)
        reach = ranges.intensity_shift_hu
        shift_hu = _uniform(shape, seed, 1, -reach, reach)
        return (images - middle) * factor + (middle + shift_hu)

    def _draw_affine(self, images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """(N, 8) projective transforms from output to input pixels, as Keras wants them."""
        ranges = self.augmentation
        count = (tf.shape(images)[0],)
        height, width = (float(size) for size in images.shape[1:3])
        turn = math.radians(ranges.rotation_degrees)
        angle = _uniform(count, seed, 2, -turn, turn)
        scale = _uniform(count, seed, 3, *ranges.scale)
        down = _uniform(count, seed, 4, -ranges.shift * height, ranges.shift * height)
        right = _uniform(count, seed, 5, -ranges.shift * width, ranges.shift * width)
        mirror_x = _coin(count, seed, 6) if ranges.flip_left_right else tf.ones(count)
        mirror_y = _coin(count, seed, 7) if ranges.flip_front_back else tf.ones(count)
        # in = M (out - centre - shift) + centre, with M the inverse of flip · scale · rotation
        cos, sin = tf.cos(angle) / scale, tf.sin(angle) / scale
        a0, a1 = mirror_x * cos, mirror_x * sin
        b0, b1 = -mirror_y * sin, mirror_y * cos
        middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
        out_x, out_y = middle_x + right, middle_y + down
        a2 = middle_x - a0 * out_x - a1 * out_y
        b2 = middle_y - b0 * out_x - b1 * out_y
        zero = tf.zeros(count)
        return tf.stack([a0, a1, a2, b0, b1, b2, zero, zero], axis=-1)

    def _bent_grid(
        self, images: tf.Tensor, transforms: tf.Tensor, seed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """(N, H, W) rows and columns to read from: the affine map, applied to a bent grid."""
        height, width = images.shape[1:3]
        reach = self.augmentation.elastic * height
        shape = (tf.shape(images)[0], _ELASTIC_GRID, _ELASTIC_GRID, 2)
        coarse = _uniform(shape, seed, 8, -reach, reach)
        bend = tf.image.resize(coarse, (height, width), method="bicubic")
        y = tf.range(height, dtype=tf.float32)[:, None] + bend[..., 0]
        x = tf.range(width, dtype=tf.float32)[None, :] + bend[..., 1]
        a0, a1, a2, b0, b1, b2 = (transforms[:, i, None, None] for i in range(6))
        return b0 * x + b1 * y + b2, a0 * x + a1 * y + a2


def _uniform(
    shape: tuple[Any, ...], seed: tf.Tensor, stream: int, low: float, high: float
) -> tf.Tensor:
    own = tf.random.experimental.stateless_fold_in(seed, stream)
    return low + (high - low) * tf.random.stateless_uniform(shape, own)


def _coin(shape: tuple[Any, ...], seed: tf.Tensor, stream: int) -> tf.Tensor:
    """+1 or -1, each half of the time."""
    return tf.sign(_uniform(shape, seed, stream, -1.0, 1.0) + 1e-9)


def _pick(images: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor, fill: Any) -> tf.Tensor:
    """Pixels (N, H, W, C) at whole (N, H, W) rows and columns; `fill` outside of the image."""
    height, width = images.shape[1:3]
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    where = tf.where(inside, rows * width + columns, 0)
    flat = tf.reshape(images, (-1, height * width, images.shape[-1]))
    picked = tf.gather(flat, tf.reshape(where, (-1, height * width)), batch_dims=1)
    picked = tf.reshape(picked, (-1, height, width, images.shape[-1]))
    return tf.where(inside[..., None], picked, fill)


def _sample_bilinear(
    images: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor, fill: float
) -> tf.Tensor:
    top, left = tf.floor(rows), tf.floor(columns)
    down, right = (rows - top)[..., None], (columns - left)[..., None]
    row, column = tf.cast(top, tf.int32), tf.cast(left, tf.int32)
    upper = _pick(images, row, column, fill) * (1 - right)
    upper += _pick(images, row, column + 1, fill) * right
    lower = _pick(images, row + 1, column, fill) * (1 - right)
    lower += _pick(images, row + 1, column + 1, fill) * right
    return upper * (1 - down) + lower * down


def _sample_nearest(masks: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    row = tf.cast(tf.round(rows), tf.int32)
    column = tf.cast(tf.round(columns), tf.int32)
    return _pick(masks[..., None], row, column, 0)[..., 0]
