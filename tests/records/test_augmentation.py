import keras
import numpy as np
import pytest
import tensorflow as tf

from tfkd.records.augmentation import Augmentation, AugmentationLayer
from tfkd.volumes import AIR_HU, IGNORE_LABEL

OFF = {
    "rotation_degrees": 0.0,
    "scale": (1.0, 1.0),
    "shift": 0.0,
    "elastic": 0.0,
    "intensity_shift_hu": 0.0,
    "contrast": (1.0, 1.0),
}
OPS = {
    "rotation": {"rotation_degrees": 40.0},
    "scale": {"scale": (0.6, 1.5)},
    "shift": {"shift": 0.2},
    "elastic": {"elastic": 0.1},
    "left_right": {"flip_left_right": True},
    "front_back": {"flip_front_back": True},
    "all": {"rotation_degrees": 40.0, "scale": (0.6, 1.5), "shift": 0.2, "elastic": 0.1}
    | {"flip_left_right": True, "flip_front_back": True},
}
SIZE = (64, 80)


def only(**ranges: object) -> AugmentationLayer:
    return AugmentationLayer(Augmentation(**{**OFF, **ranges}))


def blobs(count: int = 8) -> tuple[tf.Tensor, tf.Tensor]:
    """An L with a foot of another label, without any symmetry; the image shows the mask in HU."""
    mask = np.zeros((count, *SIZE), np.int32)
    mask[:, 18:48, 24:38] = 1
    mask[:, 38:48, 24:60] = 2
    return tf.constant(AIR_HU + 500.0 * mask[..., None], tf.float32), tf.constant(mask)


def apply(layer: AugmentationLayer, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    images, masks = blobs()
    varied = layer({"images": images, "segmentation_masks": masks}, seed=(seed, seed + 1))
    return varied["images"].numpy(), varied["segmentation_masks"].numpy()


@pytest.mark.parametrize("name", OPS)
def test_image_and_mask_move_together(name: str) -> None:
    images, masks = apply(only(**OPS[name]))
    assert images.dtype == np.float32
    assert masks.dtype == np.int32
    shown = (images[..., 0] - AIR_HU) / 500
    # Inside of the regions and outside of them, image and mask say exactly the same; only edge
    # pixels lie between.
    plain = np.abs(shown - np.rint(shown)) < 1e-3
    assert plain.mean() > 0.85
    inner = plain & (np.abs(shown - masks) > 0.5)
    assert inner.mean() < 0.003  # 1 lies between 0 and 2 on an edge
    assert np.abs(shown - masks).mean() < 0.06
    moved = [not np.array_equal(mask, blobs()[1][0]) for mask in masks]
    assert any(moved)
    assert len({mask.tobytes() for mask in masks}) >= 2  # every slice has its own draw
    assert set(np.unique(masks)) <= {0, 1, 2}


def test_nothing_is_drawn_from_empty_ranges() -> None:
    images, masks = apply(only())
    np.testing.assert_array_equal(images, blobs()[0])
    np.testing.assert_array_equal(masks, blobs()[1])


@pytest.mark.parametrize(("name", "axis"), [("left_right", 2), ("front_back", 1)])
def test_flips_are_exact(name: str, axis: int) -> None:
    images, masks = apply(only(**OPS[name]))
    before_image, before_mask = (tensor.numpy() for tensor in blobs())
    flipped = 0
    for image, mask, old_image, old_mask in zip(
        images, masks, before_image, before_mask, strict=True
    ):
        if not np.array_equal(mask, old_mask):
            old_image, old_mask = np.flip(old_image, axis - 1), np.flip(old_mask, axis - 1)
            flipped += 1
        np.testing.assert_allclose(image, old_image, atol=0.01)
        np.testing.assert_array_equal(mask, old_mask)
    assert 0 < flipped < len(masks)


def test_scale_and_rotation_change_areas_as_they_should() -> None:
    before = int(np.sum(blobs(1)[1] > 0))
    twice = apply(only(scale=(1.4, 1.4)))[1]
    assert np.sum(twice[0] > 0) / before == pytest.approx(1.4**2, rel=0.05)
    turned = apply(only(rotation_degrees=20))[1]
    assert np.sum(turned[0] > 0) / before == pytest.approx(1, rel=0.05)


def test_a_shift_stays_in_its_range() -> None:
    rows = np.arange(SIZE[0])[:, None]
    old = np.average(rows, weights=(blobs(1)[1][0] > 0).numpy().sum(1, keepdims=True))
    moves = [
        np.average(rows, weights=(mask > 0).sum(1, keepdims=True)) - old
        for seed in range(3)
        for mask in apply(only(shift=0.1), seed)[1]
    ]
    assert max(np.abs(moves)) <= 0.1 * SIZE[0] + 0.51
    assert np.std(moves) > 1


def test_elastic_path_agrees_with_the_affine_path() -> None:
    ranges = OPS["all"] | {"elastic": 0.0}
    affine, bent = apply(only(**ranges)), apply(only(**{**ranges, "elastic": 1e-7}))
    assert np.mean(np.abs(affine[0] - bent[0]) > 1) < 0.002
    assert np.mean(affine[1] != bent[1]) < 0.002


def test_intensity_leaves_the_mask_and_stays_in_range() -> None:
    layer = AugmentationLayer(
        Augmentation(**{**OFF, "intensity_shift_hu": 20.0, "contrast": (0.8, 1.2)}), (-60.0, 140.0)
    )
    images = tf.constant([[[[40.0]], [[140.0]]]] * 50)
    varied = layer(
        {"images": images, "segmentation_masks": tf.ones((50, 2, 1), tf.int32)}, seed=(1, 2)
    )
    middle, top = varied["images"].numpy()[:, :, 0, 0].T
    assert np.abs(middle - 40).max() <= 20
    assert np.ptp(middle) > 20
    assert (top - middle).min() >= 80 - 1e-3
    assert (top - middle).max() <= 120 + 1e-3
    assert varied["segmentation_masks"].numpy().all()


def test_the_seed_decides() -> None:
    layer = only(**OPS["all"])
    np.testing.assert_array_equal(apply(layer, 3)[0], apply(layer, 3)[0])
    assert not np.array_equal(apply(layer, 3)[0], apply(layer, 4)[0])


def test_half_precision_policy_is_not_applied_to_hu() -> None:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        images, _ = apply(only(rotation_degrees=5.0))
    finally:
        keras.config.set_dtype_policy(before)
    assert images.dtype == np.float32


def test_it_is_restored_from_its_config() -> None:
    layer = AugmentationLayer(Augmentation(elastic=0.02), (-10.0, 90.0))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.augmentation == layer.augmentation
    assert again.window_hu == (-10.0, 90.0)


def smooth(size: tuple[int, int], channels: int = 2) -> tf.Tensor:
    """Waves of which each slice and channel has its own; what lies at a place is the same at any
    resolution."""
    rows, columns = ((np.arange(length) + 0.5) / length for length in size)
    waves = [
        np.sin(6 * rows[:, None] + 0.3 * slice_) * np.cos(7 * columns[None] + channel)
        for slice_ in range(8)
        for channel in range(channels)
    ]
    stacked = np.reshape(waves, (8, channels, *size)).transpose(0, 2, 3, 1)
    return tf.constant(stacked, tf.float32)


def block_mean(array: np.ndarray, factor: int) -> np.ndarray:
    n, height, width, channels = array.shape
    blocks = (n, height // factor, factor, width // factor, factor, channels)
    return array.reshape(blocks).mean((2, 4))


MOVES = {
    "affine": {"rotation_degrees": 30.0, "scale": (0.8, 1.2), "shift": 0.1},
    "elastic": {"elastic": 0.06},
    "all": {"rotation_degrees": 30.0, "scale": (0.8, 1.2), "shift": 0.1, "elastic": 0.06},
}


@pytest.mark.parametrize("in_graph", [False, True])
@pytest.mark.parametrize("name", MOVES)
def test_maps_move_with_the_image_at_any_resolution(name: str, in_graph: bool) -> None:
    flips = {"flip_left_right": True, "flip_front_back": True}
    layer = only(**MOVES[name], **flips)
    size = (64, 96)
    image = smooth(size)
    slices = {
        "images": image,
        "segmentation_masks": tf.ones((8, *size), tf.int32),
        "maps": {str(f): tf.constant(block_mean(image.numpy(), f)) for f in (1, 2, 8)},
    }
    call = tf.function(layer) if in_graph else layer
    varied = call(slices, seed=tf.constant([5, 6]))
    moved = varied["images"].numpy()
    assert np.abs(moved - image).mean() > 0.2
    # What comes from outside of the image is air, and of a map its edge: only the rest compares.
    outside = 1 - varied["segmentation_masks"].numpy()[..., None].astype(float)
    inside = keras.ops.max_pool(outside, 3, 1, padding="same").numpy() == 0
    for factor, atol in ((1, 1e-4), (2, 0.02), (8, 0.12)):
        found = varied["maps"][str(factor)].numpy()
        expected = block_mean(moved, factor)
        whole = block_mean(inside.astype(float), factor)[..., 0] == 1
        whole[:, [0, -1]] = whole[:, :, [0, -1]] = False
        assert whole.mean() > 0.25
        np.testing.assert_allclose(found[whole], expected[whole], atol=atol)
        assert np.abs(found).max() <= 1 + 1e-4  # edges are extended, and nothing is filled in


def test_maps_of_odd_sizes_have_the_same_field_of_view() -> None:
    layer = only(rotation_degrees=30.0, scale=(0.8, 1.2), shift=0.1, flip_left_right=True)
    slices = {
        "images": smooth(SIZE),
        "segmentation_masks": tf.zeros((8, *SIZE), tf.int32),
        "maps": {"fine": smooth((64, 80)), "odd": smooth((47, 51))},
    }
    maps = layer(slices, seed=(1, 2))["maps"]
    fine = tf.image.resize(maps["fine"], (47, 51)).numpy()
    np.testing.assert_allclose(maps["odd"][:, 5:-5, 5:-5], fine[:, 5:-5, 5:-5], atol=0.08)
    assert np.abs(maps["odd"] - fine)[:, 5:-5, 5:-5].mean() < 0.01


def test_an_identity_leaves_maps_exactly_and_intensity_does_not_touch_them() -> None:
    maps = {str(size): smooth(size) for size in ((64, 80), (32, 40), (8, 10), (24, 23))}
    images, masks = blobs()
    layer = only(intensity_shift_hu=30.0, contrast=(0.5, 2.0))
    slices = {"images": images, "segmentation_masks": masks, "maps": maps}
    varied = layer(slices, seed=(1, 2))
    assert not np.array_equal(varied["images"], images)
    for name in maps:
        np.testing.assert_array_equal(varied["maps"][name], maps[name])


@pytest.mark.parametrize("name", ["affine", "all"])
def test_a_one_hot_mask_as_a_map_stays_the_mask(name: str) -> None:
    images, masks = blobs()
    maps = {"mask": tf.one_hot(masks, 3)}
    slices = {"images": images, "segmentation_masks": masks, "maps": maps}
    varied = only(**MOVES[name])(slices, seed=(3, 4))
    labels = np.argmax(varied["maps"]["mask"], axis=-1)
    moved = varied["segmentation_masks"].numpy()
    assert np.mean(labels == moved) > 0.97
    assert np.mean((labels == moved)[moved > 0]) > 0.97


@pytest.mark.parametrize("name", OPS)
def test_parts_of_a_batch_are_varied_as_the_whole(name: str) -> None:
    layer = only(**OPS[name], contrast=(0.8, 1.2), intensity_shift_hu=20.0)
    images, masks = blobs()
    whole = layer({"images": images, "segmentation_masks": masks}, seed=(1, 2))
    for worker in range(4):
        rows = slice(2 * worker, 2 * worker + 2)
        part = layer(
            {"images": images[rows], "segmentation_masks": masks[rows]},
            seed=(1, 2),
            worker=worker,
            workers=4,
        )
        for key in part:
            np.testing.assert_array_equal(part[key], whole[key][rows])


@pytest.mark.parametrize(
    "wrong", [{"shift": -0.1}, {"scale": (1.1, 0.9)}, {"contrast": (0.0, 1.0)}, {"elastic": -1.0}]
)
def test_ranges_must_be_ranges(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Augmentation(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["rotation", "elastic", "all"])
def test_pixels_without_label_never_blend_with_classes(name: str) -> None:
    images, masks = blobs()
    masks = masks.numpy()
    masks[:4] = IGNORE_LABEL  # slices without labels stay so, with what comes in from outside
    masks[4:, 30:44, 30:50] = IGNORE_LABEL
    inputs = {"images": images, "segmentation_masks": tf.constant(masks)}
    varied = only(**OPS[name])(inputs, seed=(0, 1))["segmentation_masks"].numpy()
    np.testing.assert_array_equal(varied[:4], IGNORE_LABEL)
    assert set(np.unique(varied[4:])) == {0, 1, 2, IGNORE_LABEL}
    area = np.mean(varied[4:] == IGNORE_LABEL, axis=(1, 2))
    assert np.all(area < 0.2)  # air around a labelled slice is background


@pytest.mark.parametrize("name", ["rotation", "elastic", "all"])
def test_label_maps_move_as_the_mask_does(name: str) -> None:
    images, masks = blobs()
    inputs = {"images": images, "segmentation_masks": masks, "maps": {"own": masks[..., None]}}
    varied = only(**OPS[name])(inputs, seed=(0, 1))
    mask, own = varied["segmentation_masks"].numpy(), varied["maps"]["own"].numpy()[..., 0]
    assert own.dtype == np.int32
    outside = own == IGNORE_LABEL
    assert outside.any()
    np.testing.assert_array_equal(own[~outside], mask[~outside])
    np.testing.assert_array_equal(mask[outside], 0)


def test_quarter_turns_are_exact_and_come_equally_often() -> None:
    rng = np.random.default_rng(0)
    image = np.tile(rng.normal(0, 100, (1, 32, 32, 1)), (200, 1, 1, 1)).astype(np.float32)
    mask = (image[..., 0] > 0).astype(np.int32)
    layer = only(quarter_turns=True)
    varied = layer({"images": image, "segmentation_masks": mask}, seed=(0, 1))
    found = []
    for one, labels in zip(
        varied["images"].numpy(), varied["segmentation_masks"].numpy(), strict=True
    ):
        equal = [np.array_equal(one, np.rot90(image[0], k)) for k in range(4)]
        assert sum(equal) == 1
        found.append(equal.index(True))
        np.testing.assert_array_equal(labels, np.rot90(mask[0], found[-1]))
    assert np.bincount(found, minlength=4).min() > 30
