"""Distances, the canvas and the noise under the phantom, against closed forms."""

import numpy as np
import pytest

from tfkd.phantom.noise import NoiseBank, spline_field
from tfkd.phantom.shapes import Canvas, Tube, carve, cylinder, ellipsoid, meet, tubes, unite
from tfkd.phantom.space import Space

SPACING_MM = (3.0, 2.0, 2.0)


@pytest.fixture(scope="module")
def space() -> Space:
    return Space.create((21, 41, 41), SPACING_MM, 0.0, 0.0, np.random.default_rng(0))


def radius(space: Space) -> np.ndarray:
    return np.sqrt(space.x**2 + space.y**2 + space.z**2)


def test_axes_are_in_mm_about_the_middle(space):
    assert space.shape == (21, 41, 41)
    assert space.pixel_mm == 2.0
    assert space.x[0, 0, [0, -1]] == pytest.approx([-40, 40])
    assert space.z[[0, -1], 0, 0] == pytest.approx([-30, 30])


def test_warp_stays_within_its_bound():
    grid = Space.create((9, 20, 20), SPACING_MM, 5.0, 4.0, np.random.default_rng(1))
    shift = grid.x - grid.axes_mm[2]
    assert 0.5 < np.abs(shift).max() <= 4.0
    assert np.abs(grid.z - grid.axes_mm[0][:, None, None]).max() <= 4.0


def test_box_holds_what_it_was_asked_for(space):
    box = space.box((-5, 0, -3), (5, 10, 6), margin_mm=0)
    part = space.crop(box)
    assert part.x.min() == -4
    assert part.x.max() == 4
    assert (part.y.min(), part.y.max()) == (0, 8)
    assert (part.z.min(), part.z.max()) == (-3, 3)
    assert space.crop(space.box((500, 0, 0), (600, 1, 1))).x.size == 0


def test_a_ball_is_its_exact_distance(space):
    expected = radius(space) - 15
    ball = ellipsoid(space, (0, 0, 0), (15, 15, 15))
    near = (radius(space) > 0) & (expected < 20)
    assert ball[near] == pytest.approx(expected[near], abs=1e-3)
    assert ball.dtype == np.float32


def test_tilt_turns_from_x_towards_y(space):
    bar = ellipsoid(space, (0, 0, 0), (30, 5, 5), tilt=np.pi / 2)
    assert bar[10, 20 + 10, 20] < 0  # 20 mm to the back
    assert bar[10, 20, 20 + 10] > 0


def test_a_tube_is_a_capsule(space):
    tube = tubes(space, [Tube((-10, 0, 0), (10, 0, 0), 6, 6)], reach_mm=8)
    past = np.maximum(np.abs(space.x) - 10, 0)
    expected = np.sqrt(past**2 + space.y**2 + space.z**2) - 6
    near = expected < 7
    assert tube[near] == pytest.approx(expected[near], abs=1e-3)
    assert tube[expected > 40].min() > 100


def test_cylinder_has_its_radii():
    x = np.array([10.0, 0.0, 0.0, 5.0], np.float32)
    y = np.array([0.0, 4.0, 0.0, 0.0], np.float32)
    assert cylinder(x, y, 10, 4) == pytest.approx([0, 0, -4, -2])


def test_set_operations_equal_min_and_max_away_from_the_seam():
    a, b = np.float32([-5, 3, 20]), np.float32([12, -9, -2])
    assert unite(a, b, 4) == pytest.approx([-5, -9, -2])
    assert meet(a, b, 4) == pytest.approx([12, 3, 20])
    assert carve(a, b, 2) == pytest.approx([-5, 11, 20])
    # On the seam a union grows and an intersection shrinks by a quarter of the width.
    zero = np.float32([0])
    assert unite(zero, zero, 4) == pytest.approx([-1])
    assert meet(zero, zero, 4) == pytest.approx([1])


def test_paint_mixes_by_partial_volume(space):
    canvas = Canvas(space, 0.0)
    canvas.paint(space.x, 100.0)
    assert canvas.hu[0, 0, 18:23] == pytest.approx([100, 100, 50, 0, 0])
    canvas.paint(space.x, 200.0, opacity=0.5)
    assert canvas.hu[0, 0, 18:21] == pytest.approx([150, 150, 87.5])


def test_paint_in_a_box_and_in_a_mask(space):
    canvas = Canvas(space, 0.0)
    box = (slice(0, 2), slice(0, 3), slice(0, 4))
    canvas.paint(np.full((2, 3, 4), -9.0, np.float32), 7.0, box=box)
    assert (canvas.hu == 7).sum() == 24
    mask = space.z > 25
    canvas.paint(np.full(int(mask.sum()), -9.0, np.float32), 3.0, box=mask)
    assert np.all(canvas.hu[mask] == 3)
    assert (canvas.hu == 7).sum() == 24


def test_noise_is_standard_and_smooth():
    rng = np.random.default_rng(2)
    axes = [np.arange(n, dtype=np.float32) * 2 for n in (60, 90, 90)]
    field = spline_field(axes, 8.0, rng)
    assert field.shape == (60, 90, 90)
    assert field.mean() == pytest.approx(0, abs=0.1)
    assert field.std() == pytest.approx(1, abs=0.1)
    assert np.abs(np.diff(field, axis=2)).max() < 1.5


def test_constant_coefficients_give_a_constant():
    class Ones:
        def uniform(self, low, high, shape):
            return np.full(shape, high)

    axes = [np.arange(5, dtype=np.float32), np.arange(7, dtype=np.float32)]
    field = spline_field([axes[0], *axes], 2.5, Ones(), bound=3.0)
    assert field == pytest.approx(np.full((5, 5, 7), 3.0), rel=1e-5)


def test_the_bank_gives_other_crops_of_one_field():
    bank = NoiseBank((10, 20, 20), SPACING_MM, np.random.default_rng(3))
    a, b = bank.crop((10, 20, 20), 9.0), bank.crop((10, 20, 20), 9.0)
    assert a.shape == b.shape == (10, 20, 20)
    assert not np.array_equal(a, b)
    with pytest.raises(ValueError, match="read-only"):
        a[0] = 0
