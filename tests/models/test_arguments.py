import pytest

from tfkd.models.arguments import scale_channels


@pytest.mark.parametrize("channels", [16, 24, 32, 64, 96, 160, 320, 1024, 1280])
def test_width_one_is_the_published_count(channels):
    assert scale_channels(channels, 1.0) == channels


@pytest.mark.parametrize(
    ("channels", "width", "expected"),
    [(64, 0.25, 16), (64, 0.5, 32), (16, 0.05, 8), (24, 0.5, 16), (64, 1.5, 96), (20, 0.95, 24)],
)
def test_scaled_count(channels, width, expected):
    assert scale_channels(channels, width) == expected


@pytest.mark.parametrize("width", [0.05, 0.1, 0.33, 0.75, 1.1, 4.0])
def test_a_multiple_of_eight_that_loses_at_most_a_tenth(width):
    for channels in range(8, 2048, 8):
        scaled = scale_channels(channels, width)
        assert scaled % 8 == 0
        assert scaled >= 8
        assert scaled >= 0.9 * channels * width
        assert scaled <= max(8, channels * width + 8)


def test_other_divisor():
    assert scale_channels(64, 0.1, divisor=4) == 8
