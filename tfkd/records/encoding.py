"""One slice as a `tf.train.Example`, and back."""

import numpy as np
import tensorflow as tf

from tfkd.volumes import IGNORE_LABEL, PreprocessSpec, SliceExample

__all__ = ["HU_OFFSET", "decode_batch", "decode_example", "decode_slice", "encode_slice"]

# Fitted slices hold no value below -1024 HU, so that HU + 1024 fits an unsigned 16-bit PNG.
HU_OFFSET = 1024

_PIXELS = {
    "image": tf.io.FixedLenFeature([], tf.string),
    "segmentation": tf.io.FixedLenFeature([], tf.string),
}
_PLACE = {
    "case_id": tf.io.FixedLenFeature([], tf.string),
    "slice_index": tf.io.FixedLenFeature([], tf.int64),
}


def encode_slice(example: SliceExample, num_classes: int) -> bytes:
    """Encodes a slice; the features are described in ``features.json``.

    Args:
        example: The fitted slice, image (H, W, C) int16 HU and mask (H, W) uint8. A mask of None
            becomes one that is `IGNORE_LABEL` everywhere.
        num_classes: Number of classes, for the flags of `labels_present`.

    Returns:
        A serialised `tf.train.Example`. The image is a 16-bit PNG of HU + 1024, its C channels
        one below the other, (C·H, W); the mask an 8-bit PNG.
    """
    height, width, channels = example.image_hu.shape
    stacked = np.moveaxis(example.image_hu, -1, 0).reshape(channels * height, width, 1)
    unsigned = (stacked.astype(np.int32) + HU_OFFSET).astype(np.uint16)
    mask = np.full((height, width), IGNORE_LABEL, np.uint8)
    if example.mask is not None:
        mask = np.asarray(example.mask, np.uint8)
    present = np.bincount(mask.ravel(), minlength=num_classes)[:num_classes] > 0
    feature = {
        "image": _bytes(tf.io.encode_png(unsigned).numpy()),
        "segmentation": _bytes(tf.io.encode_png(mask[..., None]).numpy()),
        "case_id": _bytes(example.case_id.encode()),
        "slice_index": _integers([example.slice_index]),
        "spacing_mm": tf.train.Feature(float_list=tf.train.FloatList(value=example.spacing_mm)),
        "labels_present": _integers(present.astype(int).tolist()),
    }
    record = tf.train.Example(features=tf.train.Features(feature=feature))
    return record.SerializeToString(deterministic=True)


def _bytes(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _integers(values: list[int]) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def decode_slice(record: tf.Tensor, spec: PreprocessSpec) -> tuple[tf.Tensor, tf.Tensor]:
    """Decodes image and mask inside a `tf.data` pipeline.

    Args:
        record: Scalar string, what `encode_slice` returned.
        spec: The preprocessing of the records.

    Returns:
        The image in HU, float32 (H, W, C), not yet windowed, and the mask, int32 (H, W).
    """
    parsed = tf.io.parse_single_example(record, _PIXELS)
    return _decode_pixels(parsed["image"], parsed["segmentation"], spec)


def decode_batch(
    records: tf.Tensor, spec: PreprocessSpec, case_id_length: int
) -> dict[str, tf.Tensor]:
    """Decodes a batch of slices, and where they come from, inside a `tf.data` pipeline.

    Args:
        records: (N,) strings, what `encode_slice` returned.
        spec: The preprocessing of the records.
        case_id_length: Bytes per case id, at least those of the longest one.

    Returns:
        ``image`` in HU, not yet windowed, float32 (N, H, W, C); ``mask`` int32 (N, H, W);
        ``case_id`` uint8 (N, `case_id_length`), see `tfkd.records.encode_case_ids`;
        ``slice_index`` int32 (N,).
    """
    parsed = tf.io.parse_example(records, _PIXELS | _PLACE)
    image, mask = tf.map_fn(
        lambda pngs: _decode_pixels(pngs[0], pngs[1], spec),
        (parsed["image"], parsed["segmentation"]),
        fn_output_signature=(
            tf.TensorSpec(spec.input_shape, tf.float32),
            tf.TensorSpec(spec.size, tf.int32),
        ),
    )
    return {
        "image": image,
        "mask": mask,
        "case_id": tf.io.decode_raw(parsed["case_id"], tf.uint8, fixed_length=case_id_length),
        "slice_index": tf.cast(parsed["slice_index"], tf.int32),
    }


def _decode_pixels(
    image_png: tf.Tensor, mask_png: tf.Tensor, spec: PreprocessSpec
) -> tuple[tf.Tensor, tf.Tensor]:
    height, width, channels = spec.input_shape
    stacked = tf.io.decode_png(image_png, channels=1, dtype=tf.uint16)
    image = tf.reshape(tf.cast(stacked, tf.float32), (channels, height, width)) - HU_OFFSET
    mask = tf.io.decode_png(mask_png, channels=1)
    return tf.transpose(image, (1, 2, 0)), tf.reshape(tf.cast(mask, tf.int32), (height, width))


def decode_example(record: bytes, spec: PreprocessSpec) -> SliceExample:
    """Decodes a whole slice eagerly: the inverse of `encode_slice`."""
    image, mask = decode_slice(record, spec)
    feature = tf.train.Example.FromString(record).features.feature
    spacing = feature["spacing_mm"].float_list.value
    return SliceExample(
        image_hu=image.numpy().astype(np.int16),
        mask=mask.numpy().astype(np.uint8),
        case_id=feature["case_id"].bytes_list.value[0].decode(),
        slice_index=int(feature["slice_index"].int64_list.value[0]),
        spacing_mm=(spacing[0], spacing[1], spacing[2]),
    )
