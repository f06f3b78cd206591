import re
from functools import partial

import numpy as np
import pytest
from keras import layers

from tests.models import network_checks
from tfkd.models import (
    ENet,
    ESPNet,
    MobileNetV2,
    PSPNet,
    RAUNet,
    ResNet18,
    UNet,
    UNetPlusPlus,
    check_network,
    count_macs,
)
from tfkd.models.arguments import WIDTH_RANGE

NETWORKS = {
    # network: (channels, trainable parameters, multiply-accumulates at 384 x 384, low and high
    # channels) at width 1, as published
    UNet: (1, 34.5e6, 146.9e9, 128, 512),
    UNetPlusPlus: (1, 36.63e6, 310.0e9, 128, 512),
    RAUNet: (3, 22.14e6, 13.2e9, 64, 128),
    PSPNet: (3, 46.71e6, 103.6e9, 64, 2048),
    ENet: (3, 0.354e6, 1.02e9, 16, 128),
    ESPNet: (3, 0.184e6, 0.61e9, 16, 256),
    MobileNetV2: (3, 2.23e6, 9.57e9, 32, 1280),
    ResNet18: (3, 11.18e6, 5.33e9, 64, 128),
}
STRIDES = {
    UNet: 16,
    UNetPlusPlus: 16,
    RAUNet: 32,
    PSPNet: 8,
    ENet: 8,
    ESPNet: 8,
    MobileNetV2: 8,
    ResNet18: 32,
}

CHECKS = [
    network_checks.check_layers,
    network_checks.check_initial_logits,
    network_checks.check_mixed_precision,
    network_checks.check_every_weight_trains,
    network_checks.check_stock_layers,
    network_checks.check_litert,
    network_checks.check_int8,
]


@pytest.mark.parametrize("build", NETWORKS)
def test_keeps_what_is_promised(build):
    shapes = ((32, 96, 5), (64, 64, 2))
    check_network(build, input_shapes=shapes, num_classes=4, widths=(0.25, 0.5))
    assert build(shapes[0], 4, WIDTH_RANGE[0]).output_shape == (None, 32, 96, 4)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("build", NETWORKS)
def test_network(build, check):
    check(build)


@pytest.mark.parametrize("build", NETWORKS)
def test_published_size(build):
    channels, parameters, macs, low, high = NETWORKS[build]
    model = build((384, 384, channels))
    counted = sum(np.prod(weight.shape) for weight in model.trainable_weights)
    assert counted == pytest.approx(parameters, rel=0.01)
    assert count_macs(model) == pytest.approx(macs, rel=0.03)
    assert model.get_layer("tap_low").output.shape[1:] == (192, 192, low)
    assert model.get_layer("tap_high").output.shape[1:] == (48, 48, high)
    assert model.output_shape == (None, 384, 384, 2)
    assert network_checks.small(build).count_params() < counted / 10


@pytest.mark.parametrize("build", NETWORKS)
def test_size_not_divisible_by_the_stride(build):
    stride = STRIDES[build]
    with pytest.raises(ValueError, match=rf"divisible by {stride}.*100, 96, 1.*would do"):
        build((100, 96, 1))


def test_numpy_numbers_are_welcome():
    model = MobileNetV2(np.array([32, 32, 1]), np.int64(3), np.float32(0.125), name="pupil")
    assert model.output_shape == (None, 32, 32, 3)
    assert model.name == "pupil"


def test_enet_stem_still_learns_when_the_slice_has_many_channels():
    model = ENet((32, 32, 16))
    assert model.get_layer("stem_conv").filters == 8


@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        ({"width": 0}, "width=0"),
        ({"width": -1.0}, "width=-1.0"),
        ({"width": 10}, "width=10"),
        ({"width": float("nan")}, "width=nan"),
        ({"width": "0.5"}, "width='0.5'"),
        ({"width": True}, "width=True"),
        ({"num_classes": 1}, "num_classes=1"),
        ({"num_classes": 2.5}, "num_classes=2.5"),
        ({"num_classes": True}, "num_classes=True"),
        ({"input_shape": (64, 64)}, "input_shape=(64, 64)"),
        ({"input_shape": (1, 64, 64, 1)}, "input_shape=(1, 64, 64, 1)"),
        ({"input_shape": (None, None, 1)}, "input_shape=(None, None, 1)"),
        ({"input_shape": (64, 64, 0)}, "input_shape=(64, 64, 0)"),
        ({"input_shape": (0, 64, 1)}, "input_shape=(0, 64, 1)"),
        ({"input_shape": 64}, "input_shape=64"),
    ],
)
def test_arguments_out_of_range(arguments, received):
    with pytest.raises(ValueError, match=r"^ENet: expected .*" + re.escape(f"Received {received}")):
        ENet(**{"input_shape": (64, 64, 1), **arguments})


@pytest.mark.parametrize(
    "check", [network_checks.check_every_weight_trains, network_checks.check_int8]
)
def test_enet_of_shared_slopes(check):
    check(partial(ENet, shared_slopes=True))


def test_slopes_of_enet():
    own, shared = (ENet((32, 32, 1), 3, 0.25, shared_slopes=choice) for choice in (False, True))
    assert [layer.name for layer in shared.layers] == [layer.name for layer in own.layers]
    own_slopes, slopes = (
        [layer.alpha.shape for layer in model.layers if isinstance(layer, layers.PReLU)]
        for model in (own, shared)
    )
    assert slopes == [(1, 1, 1)] * len(own_slopes)
    fewer = sum(shape[-1] for shape in own_slopes) - len(slopes)
    assert own.count_params() - shared.count_params() == fewer > 0
