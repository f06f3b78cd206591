"""The spec, and what it does to slices."""

import json

import numpy as np
import pytest

from tfkd.volumes import AIR_HU, PreprocessSpec, fit_image, fit_mask, unfit_scores, window

SPACING = (0.75, 0.75)
SPECS = {
    "smaller": PreprocessSpec(size=(48, 40)),
    "larger": PreprocessSpec(size=(128, 160)),
    "half": PreprocessSpec(size=(32, 48)),
    "crop": PreprocessSpec(size=(40, 61), fit="center"),
    "pad": PreprocessSpec(size=(80, 121), fit="center"),
    "crop and pad": PreprocessSpec(size=(40, 120), fit="center"),
    "coarser": PreprocessSpec(size=(50, 70), fit="center", spacing_mm=1.1),
    "finer": PreprocessSpec(size=(128, 128), fit="center", spacing_mm=0.5),
}
NATIVE = (64, 96)


def smooth(shape: tuple[int, int]) -> np.ndarray:
    """A field whose every feature is far wider than a pixel, in HU."""
    y, x = ((np.arange(n) + 0.5) / n for n in shape)
    return 400 * np.sin(2.5 * y[:, None] + 0.3) * np.cos(3 * x) - 50


def disc(
    shape: tuple[int, int], centre_yx: tuple[float, float], radius: float, label: int = 1
) -> np.ndarray:
    y, x = (np.arange(n) + 0.5 for n in shape)
    inside = (y[:, None] - centre_yx[0]) ** 2 + (x - centre_yx[1]) ** 2 < radius**2
    return np.where(inside, label, 0).astype(np.uint8)


class TestSpec:
    def test_defaults_and_derived_shapes(self) -> None:
        spec = PreprocessSpec(size=(128, 192), context_slices=2)
        assert spec.channels == 5
        assert spec.input_shape == (128, 192, 5)

    @pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
    def test_round_trip_through_json(self, spec: PreprocessSpec) -> None:
        assert PreprocessSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec

    def test_whole_numbers_become_floats(self) -> None:
        spec = PreprocessSpec(window_hu=(-60, 140))
        assert spec == PreprocessSpec()
        assert spec.to_dict()["window_hu"] == [-60.0, 140.0]

    @pytest.mark.parametrize(
        ("values", "key"),
        [
            ({"sizes": [256, 256]}, "sizes"),
            ({"window_hu": [140, -60]}, "window_hu"),
            ({"window_hu": [-60, "140"]}, "window_hu"),
            ({"window_hu": -60}, "window_hu"),
            ({"window_hu": [0, float("nan")]}, "window_hu"),
            ({"output_range": [0, 0]}, "output_range"),
            ({"size": [256]}, "size"),
            ({"size": [256, 0]}, "size"),
            ({"size": [256.0, 256.0]}, "size"),
            ({"size": 256}, "size"),
            ({"fit": "stretch"}, "fit"),
            ({"spacing_mm": 1.0}, "spacing_mm"),
            ({"fit": "center", "spacing_mm": 0}, "spacing_mm"),
            ({"fit": "center", "spacing_mm": "1"}, "spacing_mm"),
            ({"context_slices": -1}, "context_slices"),
            ({"context_slices": True}, "context_slices"),
            ({"context_slices": 1.0}, "context_slices"),
        ],
    )
    def test_what_is_wrong_is_named(self, values: dict, key: str) -> None:
        with pytest.raises(ValueError, match=key):
            PreprocessSpec.from_dict(values)


class TestFitImage:
    @pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
    def test_shape_type_and_a_constant(self, spec: PreprocessSpec) -> None:
        fitted = fit_image(np.full(NATIVE, 37, np.int16), spec, SPACING)
        assert fitted.shape == spec.size
        assert fitted.dtype == np.int16
        assert set(np.unique(fitted)) <= {37, AIR_HU}
        assert fitted[spec.size[0] // 2, spec.size[1] // 2] == 37

    def test_halving_closed_form(self) -> None:
        # A triangle as wide as two new pixels: weights (1, 3, 3, 1) / 8 inside the slice; at the
        # border what falls outside is left out: (3, 3, 1) / 7.
        row = np.array([0, 80, 160, 800, 0, 80], np.int16)
        fitted = fit_image(np.tile(row, (6, 1)), PreprocessSpec(size=(3, 3)), SPACING)
        expected = [
            (3 * 0 + 3 * 80 + 160) / 7,
            (80 + 3 * 160 + 3 * 800 + 0) / 8,
            (800 + 3 * 0 + 3 * 80) / 7,
        ]
        np.testing.assert_array_equal(fitted, np.tile(np.rint(expected), (3, 1)))

    def test_doubling_closed_form(self) -> None:
        row = np.array([0, 400], np.int16)
        fitted = fit_image(np.tile(row, (2, 1)), PreprocessSpec(size=(4, 4)), SPACING)
        np.testing.assert_array_equal(fitted, np.tile([0, 100, 300, 400], (4, 1)))

    def test_same_size_changes_nothing(self) -> None:
        image = np.random.default_rng(0).integers(-1024, 3071, NATIVE).astype(np.int16)
        for spec in (PreprocessSpec(size=NATIVE), PreprocessSpec(size=NATIVE, fit="center")):
            np.testing.assert_array_equal(fit_image(image, spec, SPACING), image)

    def test_centre_crop_and_padding(self) -> None:
        image = np.arange(5 * 6, dtype=np.int16).reshape(5, 6)
        crop = fit_image(image, PreprocessSpec(size=(3, 4), fit="center"), SPACING)
        np.testing.assert_array_equal(crop, image[1:4, 1:5])
        pad = fit_image(image, PreprocessSpec(size=(7, 8), fit="center"), SPACING)
        np.testing.assert_array_equal(pad, np.pad(image, 1, constant_values=AIR_HU))

    def test_spacing(self) -> None:
        # A disc of 12 mm radius has a radius of 12 pixels once a pixel is 1 mm.
        image = disc((128, 128), (64, 64), 12 / 0.75).astype(np.int16) * 1000
        spec = PreprocessSpec(size=(64, 64), fit="center", spacing_mm=1.0)
        area = (fit_image(image, spec, SPACING) > 500).sum()
        assert area == pytest.approx(np.pi * 12**2, rel=0.02)

    def test_scanner_padding_is_air(self) -> None:
        image = np.full((64, 64), -3024, np.int16)
        image[:, 32:] = 40
        fitted = fit_image(image, PreprocessSpec(size=(24, 24)), SPACING)
        assert fitted.min() == AIR_HU

    def test_fine_texture_is_averaged_not_aliased(self) -> None:
        stripes = np.tile(np.array([-500, 500], np.int16), (64, 32))
        fitted = fit_image(stripes, PreprocessSpec(size=(16, 16)), SPACING)
        assert np.abs(fitted[:, 2:-2]).max() <= 1

    @pytest.mark.parametrize("axis", [0, 1])
    def test_a_mirrored_slice_gives_the_mirrored_result(self, axis: int) -> None:
        # Holds where both sizes are even; an odd rest of a centre crop has to go to one side.
        image = np.random.default_rng(0).integers(-1024, 2000, NATIVE).astype(np.int16)
        for spec in (SPECS["smaller"], SPECS["larger"], SPECS["half"]):
            np.testing.assert_array_equal(
                fit_image(np.flip(image, axis), spec, SPACING),
                np.flip(fit_image(image, spec, SPACING), axis),
            )


class TestFitMask:
    @pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
    def test_no_label_is_invented(self, spec: PreprocessSpec) -> None:
        mask = np.random.default_rng(0).choice([0, 3, 7, 255], NATIVE).astype(np.uint8)
        fitted = fit_mask(mask, spec, SPACING)
        assert fitted.shape == spec.size
        assert fitted.dtype == np.uint8
        assert set(np.unique(fitted)) <= {0, 3, 7, 255}

    @pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
    def test_empty_stays_empty(self, spec: PreprocessSpec) -> None:
        assert not fit_mask(np.zeros(NATIVE, np.uint8), spec, SPACING).any()

    def test_the_larger_part_wins_and_of_equals_the_higher_label(self) -> None:
        mask = np.array([[1, 1, 2, 2], [1, 0, 0, 0], [0, 0, 1, 2], [0, 9, 2, 1]], np.uint8)
        fitted = fit_mask(mask, PreprocessSpec(size=(2, 2)), SPACING)
        np.testing.assert_array_equal(fitted, [[1, 2], [0, 2]])

    @pytest.mark.parametrize("native", [128, 256, 320])
    def test_no_shift_and_the_same_area(self, native: int) -> None:
        spec = PreprocessSpec(size=(64, 64))
        factor = native / 64
        rng = np.random.default_rng(0)
        centres = rng.uniform(20, 44, (60, 2)) * factor
        radii = rng.uniform(4, 12, 60) * factor
        shift, area = [], []
        for centre, radius in zip(centres, radii, strict=True):
            fitted = fit_mask(disc((native, native), tuple(centre), radius), spec, SPACING)
            shift.append((np.argwhere(fitted) + 0.5).mean(0) * factor - centre)
            area.append(fitted.sum() * factor**2 / (np.pi * radius**2))
        # The nearest label gives half a native pixel on even factors.
        assert np.abs(np.mean(shift, axis=0)).max() < 0.1
        assert np.mean(area) == pytest.approx(1, abs=0.05)

    def test_image_and_mask_share_one_grid(self) -> None:
        mask = disc(NATIVE, (30.3, 51.6), 14)
        for spec in SPECS.values():
            image = fit_image(mask.astype(np.int16) * 1000, spec, SPACING)
            fitted = fit_mask(mask, spec, SPACING)
            disagree = (image > 500) != (fitted == 1)
            assert disagree.sum() <= 0.05 * fitted.sum()

    def test_other_types_are_refused(self) -> None:
        with pytest.raises(ValueError, match="uint8"):
            fit_mask(np.zeros(NATIVE, np.int64), SPECS["half"], SPACING)


class TestUnfitScores:
    @pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
    def test_a_smooth_image_comes_back(self, spec: PreprocessSpec) -> None:
        image = np.rint(smooth(NATIVE)).astype(np.int16)
        fitted = fit_image(image, spec, SPACING)
        back = unfit_scores(fitted[..., None], spec, NATIVE, SPACING)[..., 0]
        assert back.shape == NATIVE
        assert back.dtype == np.float32
        foreground = np.tile(np.float32([0, 1]), (*spec.size, 1))
        inside = unfit_scores(foreground, spec, NATIVE, SPACING).argmax(-1) == 1
        # Where a crop ends and at the slice's own border, half a filter is missing.
        inside[:3] = inside[-3:] = inside[:, :3] = inside[:, -3:] = False
        if spec.fit == "center":
            first, last = np.argwhere(inside).min(0) + 3, np.argwhere(inside).max(0) - 3
            inside[: first[0]] = inside[last[0] :] = False
            inside[:, : first[1]] = inside[:, last[1] :] = False
        error = (back - image)[inside]
        assert np.abs(error).max() < 4  # of 800 HU; half a native pixel would be up to 11
        assert abs(error.mean()) < 0.3

    @pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
    def test_a_mask_comes_back(self, spec: PreprocessSpec) -> None:
        mask = disc(NATIVE, (30.3, 47.6), 13)
        one_hot = np.eye(2, dtype=np.float32)[fit_mask(mask, spec, SPACING)]
        back = unfit_scores(one_hot, spec, NATIVE, SPACING).argmax(-1)
        dice = 2 * (back * mask).sum() / (back.sum() + mask.sum())
        assert dice > 0.95
        shift = np.argwhere(back).mean(0) - np.argwhere(mask).mean(0)
        assert np.abs(shift).max() < 0.25

    def test_background_wins_outside_of_a_crop(self) -> None:
        spec = PreprocessSpec(size=(20, 30), fit="center")
        scores = np.random.default_rng(0).normal(size=(20, 30, 3)).astype(np.float32)
        scores[..., 0] = -50
        back = unfit_scores(scores, spec, NATIVE, SPACING)
        labels = back.argmax(-1)
        inside = np.zeros(NATIVE, bool)
        inside[22:42, 33:63] = True
        assert (labels[inside] > 0).all()
        assert (labels[~inside] == 0).all()
        assert np.isfinite(back).all()
        np.testing.assert_array_equal(back[22:42, 33:63], scores)

    def test_equal_scores_give_background_everywhere(self) -> None:
        spec = PreprocessSpec(size=(20, 30), fit="center")
        back = unfit_scores(np.zeros((20, 30, 3), np.float32), spec, NATIVE, SPACING)
        assert not back.argmax(-1).any()

    def test_doubling_closed_form(self) -> None:
        scores = np.stack([[[0.0, 4.0], [0.0, 4.0]], [[1.0, 1.0], [5.0, 5.0]]], axis=-1)
        back = unfit_scores(scores, PreprocessSpec(size=(2, 2)), (4, 4), SPACING)
        np.testing.assert_allclose(back[..., 0], np.tile([0, 1, 3, 4], (4, 1)))
        np.testing.assert_allclose(back[..., 1], np.tile([[1], [2], [4], [5]], (1, 4)))

    def test_scores_of_another_size_are_refused(self) -> None:
        with pytest.raises(ValueError, match=r"\(48, 40\).*\(40, 48, 2\)"):
            unfit_scores(np.zeros((40, 48, 2), np.float32), SPECS["smaller"], NATIVE, SPACING)


class TestWindow:
    def test_closed_form(self) -> None:
        hu = np.array([-1024, -60, 40, 140, 3071], np.int16)
        np.testing.assert_array_equal(window(hu, PreprocessSpec()), [-1, -1, 0, 1, 1])
        spec = PreprocessSpec(window_hu=(-200, 300), output_range=(0, 255))
        np.testing.assert_allclose(window(np.array([50]), spec), [127.5])

    def test_type_and_order(self) -> None:
        hu = np.arange(-1024, 3072, dtype=np.int16)
        out = window(hu, PreprocessSpec(window_hu=(-57.3, 164.1), output_range=(-0.3, 1.7)))
        assert out.dtype == np.float32
        assert (np.diff(out) >= 0).all()
        assert out[0] == np.float32(-0.3)
        assert out[-1] == pytest.approx(1.7, abs=1e-6)


def test_a_field_is_resampled_before_it_is_cropped() -> None:
    spec = PreprocessSpec(size=(6, 6), fit="center", field_size=(8, 8))
    image = np.arange(16 * 16, dtype=np.int16).reshape(16, 16)
    whole = fit_image(image, PreprocessSpec(size=(8, 8)), (1.0, 1.0))
    np.testing.assert_array_equal(fit_image(image, spec, (1.0, 1.0)), whole[1:7, 1:7])
    scores = np.random.default_rng(0).normal(size=(6, 6, 2))
    native = unfit_scores(scores, spec, (16, 16), (1.0, 1.0))
    assert native.shape == (16, 16, 2)
    assert not native[0].argmax(-1).any()  # outside of the crop


def test_a_spec_says_nothing_of_a_field_that_it_has_not() -> None:
    assert "field_size" not in PreprocessSpec().to_dict()
    spec = PreprocessSpec(size=(6, 6), fit="center", field_size=(8, 8))
    assert PreprocessSpec.from_dict(spec.to_dict()) == spec
    for wrong in ({"field_size": (8, 8)}, {"field_size": (8, 8), "fit": "center", "spacing_mm": 1}):
        with pytest.raises(ValueError, match="field_size"):
            PreprocessSpec(**wrong)
