"""One geometric mapping of a batch of slices, for images, masks and maps of any resolution."""

from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

__all__ = ["Warp"]


@dataclass(frozen=True)
class Warp:
    """Where each pixel of the warped slices is read from; every slice has a mapping of its own.

    In pixels of the slice and from its middle, the output's (x, y) is read from the input's
    ``matrix · ((x, y) + bend(x, y) - shift)``. An image of another resolution covers the same
    field of view: its pixel x is centred on ``(x + 0.5) · W / w - 0.5`` of the slice's.

    Args:
        size: Height and width of the slices.
        matrix: (N, 4) float32, the rows of the matrix: x from x, x from y, y from x, y from y.
        shift: (N, 2) float32, right and down.
        bend: (N, g, g, 2) float32, displacements (down, right) on a coarse grid that spans the
            slice, interpolated bicubically; None for none.
    """

    size: tuple[int, int]
    matrix: tf.Tensor
    shift: tf.Tensor
    bend: tf.Tensor | None = None

    def move(self, images: tf.Tensor, fill: float | None) -> tf.Tensor:
        """Warps images, with bilinear interpolation.

        Args:
            images: (N, h, w, C) float32 of any resolution.
            fill: What lies outside of the image; None to extend its edges outwards.

        Returns:
            (N, h, w, C) float32.
        """
        if self.bend is not None:
            return _sample_bilinear(images, *self._bent_grid(images.shape[1:3]), fill)
        return keras.ops.image.affine_transform(
            images,
            self._transforms(images.shape[1:3]),
            interpolation="bilinear",
            fill_mode="nearest" if fill is None else "constant",
            fill_value=0.0 if fill is None else fill,
        )

    def move_labels(self, masks: tf.Tensor, fill: int = 0) -> tf.Tensor:
        """Warps masks (N, h, w) int32: nearest neighbours, and `fill` outside."""
        masks = masks[..., None]
        if self.bend is not None:
            rows, columns = self._bent_grid(masks.shape[1:3])
            row, column = (tf.cast(tf.round(place), tf.int32) for place in (rows, columns))
            return _pick(masks, row, column, fill)[..., 0]
        moved = keras.ops.image.affine_transform(
            masks, self._transforms(masks.shape[1:3]), interpolation="nearest", fill_value=fill
        )
        return moved[..., 0]

    def _coefficients(self, size: tuple[int, int]) -> tuple[tf.Tensor, ...]:
        """a0, a1, a2, b0, b1, b2, each (N,): in pixels of an image of `size`, the output's (x, y)
        is read from x = a0 x + a1 y + a2 and y = b0 x + b1 y + b2."""
        tall, wide = self._pixel(size)
        a0, a1, b0, b1 = tf.unstack(self.matrix, axis=1)
        a1, b0 = a1 * (tall / wide), b0 * (wide / tall)
        # Middles fall on middles at every resolution, so that no rounding moves an identity.
        middle_y, middle_x = ((length - 1) / 2 for length in size)
        out_x, out_y = middle_x + self.shift[:, 0] / wide, middle_y + self.shift[:, 1] / tall
        a2 = middle_x - a0 * out_x - a1 * out_y
        b2 = middle_y - b0 * out_x - b1 * out_y
        return a0, a1, a2, b0, b1, b2

    def _transforms(self, size: tuple[int, int]) -> tf.Tensor:
        """(N, 8) projective transforms from output to input pixels, as Keras wants them."""
        zero = tf.zeros_like(self.matrix[:, 0])
        return tf.stack([*self._coefficients(size), zero, zero], axis=-1)

    def _bent_grid(self, size: tuple[int, int]) -> tuple[tf.Tensor, tf.Tensor]:
        """(N, h, w) rows and columns to read from: the affine map, applied to a bent grid."""
        tall, wide = self._pixel(size)
        # `resize` has half-pixel centres as well: every resolution sees the same field.
        bend = tf.image.resize(self.bend, size, method="bicubic")
        y = tf.range(size[0], dtype=tf.float32)[:, None] + bend[..., 0] / tall
        x = tf.range(size[1], dtype=tf.float32)[None, :] + bend[..., 1] / wide
        a0, a1, a2, b0, b1, b2 = (one[:, None, None] for one in self._coefficients(size))
        return b0 * x + b1 * y + b2, a0 * x + a1 * y + a2

    def _pixel(self, size: tuple[int, int]) -> tuple[float, float]:
        """Height and width of a pixel of an image of `size`, in pixels of the slice."""
        return self.size[0] / size[0], self.size[1] / size[1]


def _pick(images: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor, fill: Any) -> tf.Tensor:
    """Pixels (N, h, w, C) at whole (N, h, w) rows and columns; `fill` outside of the image."""
    height, width = images.shape[1:3]
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    where = tf.where(inside, rows * width + columns, 0)
    flat = tf.reshape(images, (-1, height * width, images.shape[-1]))
    picked = tf.gather(flat, tf.reshape(where, (-1, height * width)), batch_dims=1)
    picked = tf.reshape(picked, (-1, height, width, images.shape[-1]))
    return tf.where(inside[..., None], picked, fill)


def _sample_bilinear(
    images: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor, fill: float | None
) -> tf.Tensor:
    if fill is None:
        # Then a pixel beyond the last one is read with weight 0 only, and may be anything.
        height, width = images.shape[1:3]
        rows = tf.clip_by_value(rows, 0.0, float(height - 1))
        columns = tf.clip_by_value(columns, 0.0, float(width - 1))
        fill = 0.0
    top, left = tf.floor(rows), tf.floor(columns)
    down, right = (rows - top)[..., None], (columns - left)[..., None]
    row, column = tf.cast(top, tf.int32), tf.cast(left, tf.int32)
    upper = _pick(images, row, column, fill) * (1 - right)
    upper += _pick(images, row, column + 1, fill) * right
    lower = _pick(images, row + 1, column, fill) * (1 - right)
    lower += _pick(images, row + 1, column + 1, fill) * right
    return upper * (1 - down) + lower * down
