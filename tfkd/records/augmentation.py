"""Random variation of slices: image, mask and maps move together and are resampled once."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import keras
import tensorflow as tf

from tfkd.records.warp import Warp
from tfkd.volumes import AIR_HU, IGNORE_LABEL

__all__ = ["AUGMENTATIONS", "DEFAULT_AUGMENTATION", "Augmentation", "AugmentationLayer"]

# Rows and columns of the random displacements that an elastic deformation is spanned by.
_ELASTIC_GRID = 5
# Cosine and sine of 0, 90, 180 and 270 degrees.
_QUARTERS = ([1.0, 0.0, -1.0, 0.0], [0.0, 1.0, 0.0, -1.0])


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
        quarter_turns: Whether to turn slices by 0, 90, 180 or 270 degrees. Of a slice that is not
            square, a turn by 90 loses what comes to lie outside.

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
    quarter_turns: bool = False

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

# By `Protocol.variation`.
AUGMENTATIONS = {
    "anatomical": DEFAULT_AUGMENTATION,
    "symmetric": Augmentation(
        rotation_degrees=0.0,
        scale=(1.0, 1.0),
        shift=0.0,
        intensity_shift_hu=0.0,
        contrast=(1.0, 1.0),
        flip_left_right=True,
        flip_front_back=True,
        quarter_turns=True,
    ),
}


@keras.saving.register_keras_serializable(package="tfkd")
class AugmentationLayer(keras.layers.Layer):
    """Applies an `Augmentation` to a batch of slices in HU.

    Rotation, scale, shift, flips (and the elastic deformation) are composed to one mapping, so
    that the image is interpolated once: bilinear for the image, nearest for the mask. Pixels from
    outside of the slice are air and background; in a slice without labels (`IGNORE_LABEL`
    everywhere) they have no label either. Maps, which say something about the places of the slice
    at any resolution, are moved by the same mapping; their edges are extended outwards. A map of
    whole numbers holds labels: it is moved as the mask is, and `IGNORE_LABEL` outside.

    What is drawn depends on the seed given to the call, on a slice's place in its batch and on
    nothing else, so that a parallel `tf.data` pipeline stays reproducible; the stock Keras layers
    draw from a shared counter, whose order is not.

    Args:
        augmentation: The ranges.
        window_hu: The HU window whose middle `contrast` turns about.

    Call arguments:
        inputs: ``{"images": (N, H, W, C) float32 HU, "segmentation_masks": (N, H, W) int32}`` and,
            if wanted, ``"maps": {name: (N, h, w, c) float32, or (N, h, w, 1) int32}``.
        seed: (2,) integers.
        worker: Which part of the batch this is, if several workers share it, from 0 on.
        workers: Number of equal parts. All of them together are varied as the whole batch is.

    Returns:
        The same dictionary; the image float32 in HU, the mask int32, the maps of their types.
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

    def call(
        self, inputs: dict[str, Any], seed: tf.Tensor, worker: int = 0, workers: int = 1
    ) -> dict[str, Any]:
        """Varies a batch."""
        images = inputs["images"]
        size, count = tuple(images.shape[1:3]), tf.shape(images)[0]
        drawn = self._draw(size, count * workers, tf.cast(seed, tf.int64))
        # Own rows of what was computed for all: a part of a batch gives the very same bits.
        drawn = {
            name: value[worker * count : (worker + 1) * count] for name, value in drawn.items()
        }
        warp = Warp(size, drawn["matrix"], drawn["shift"], drawn.get("bend"))
        masks = inputs["segmentation_masks"]
        # The air around a slice is background, unless nobody has said what the slice shows.
        unlabelled = tf.reduce_all(masks == IGNORE_LABEL, axis=(1, 2), keepdims=True)
        moved = tf.where(unlabelled, IGNORE_LABEL, tf.cast(warp.move_labels(masks), tf.int32))
        varied = {
            "images": warp.move(images * drawn["factor"] + drawn["offset_hu"], float(AIR_HU)),
            "segmentation_masks": moved,
        }
        if "maps" in inputs:
            varied["maps"] = {name: _move_map(warp, one) for name, one in inputs["maps"].items()}
        return varied

    def _draw(
        self, size: tuple[int, int], count: tf.Tensor, seed: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """The parameters of `count` slices, a row each."""
        ranges = self.augmentation
        height, width = size
        rows = (count,)
        turn = math.radians(ranges.rotation_degrees)
        angle = _uniform(rows, seed, 2, -turn, turn)
        scale = _uniform(rows, seed, 3, *ranges.scale)
        down = _uniform(rows, seed, 4, -ranges.shift * height, ranges.shift * height)
        right = _uniform(rows, seed, 5, -ranges.shift * width, ranges.shift * width)
        mirror_x = _coin(rows, seed, 6) if ranges.flip_left_right else tf.ones(rows)
        mirror_y = _coin(rows, seed, 7) if ranges.flip_front_back else tf.ones(rows)
        # The inverse of flip · scale · rotation
        cos, sin = tf.cos(angle), tf.sin(angle)
        if ranges.quarter_turns:
            turns = tf.cast(_uniform(rows, seed, 9, 0.0, 4.0), tf.int32)
            # Whole numbers, so that a turn by 90 degrees is no interpolation.
            turned_cos, turned_sin = (tf.gather(one, turns) for one in _QUARTERS)
            cos, sin = cos * turned_cos - sin * turned_sin, sin * turned_cos + cos * turned_sin
        cos, sin = cos / scale, sin / scale
        matrix = [mirror_x * cos, mirror_x * sin, -mirror_y * sin, mirror_y * cos]
        # HU · factor + offset turns about the window's middle and is then shifted.
        factor = _uniform((count, 1, 1, 1), seed, 0, *ranges.contrast)
        reach = ranges.intensity_shift_hu
        shift_hu = _uniform((count, 1, 1, 1), seed, 1, -reach, reach)
        drawn = {
            "factor": factor,
            "offset_hu": sum(self.window_hu) / 2 * (1 - factor) + shift_hu,
            "matrix": tf.stack(matrix, axis=1),
            "shift": tf.stack([right, down], axis=1),
        }
        if ranges.elastic > 0:
            reach = ranges.elastic * height
            grid = (count, _ELASTIC_GRID, _ELASTIC_GRID, 2)
            drawn["bend"] = _uniform(grid, seed, 8, -reach, reach)
        return drawn


def _move_map(warp: Warp, one: tf.Tensor) -> tf.Tensor:
    if one.dtype.is_floating:
        return warp.move(one, None)
    return tf.cast(warp.move_labels(one[..., 0], IGNORE_LABEL), tf.int32)[..., None]


def _uniform(
    shape: tuple[Any, ...], seed: tf.Tensor, stream: int, low: float, high: float
) -> tf.Tensor:
    own = tf.random.experimental.stateless_fold_in(seed, stream)
    return low + (high - low) * tf.random.stateless_uniform(shape, own)


def _coin(shape: tuple[Any, ...], seed: tf.Tensor, stream: int) -> tf.Tensor:
    """+1 or -1, each half of the time."""
    return tf.sign(_uniform(shape, seed, stream, -1.0, 1.0) + 1e-9)
