"""What the image of a crop looks like: each part sees what it is there for, and the alterations are exact."""

import numpy as np
import pytest

from helpers.toy_crops import toy_crops
from vertegrade.grading.appearance import (
    CHUNK,
    CORRELATION,
    HISTOGRAM,
    HU_EDGES,
    LAYOUT,
    LAYOUT_PART,
    LEAST_SHARE,
    LENGTH,
    NOISE,
    SPECTRUM,
    TEXTURE,
    appearance,
    rescaled,
    turned,
)

CROPS = toy_crops(3, 4, seed=1).pixels


def test_the_parts_lie_one_after_the_other() -> None:
    parts = [HISTOGRAM, SPECTRUM, NOISE, CORRELATION, LAYOUT_PART]
    assert [part.start for part in parts] == [0, *(part.stop for part in parts[:-1])]
    assert parts[-1].stop == LENGTH == appearance(CROPS).shape[1]


def test_a_crop_looks_the_same_beside_others() -> None:
    many = np.concatenate([CROPS] * (CHUNK // len(CROPS) + 2))
    np.testing.assert_array_equal(appearance(many)[CHUNK + 1], appearance(many[CHUNK + 1 :][:1])[0])
    assert appearance(CROPS[:0]).shape == (0, LENGTH)


@pytest.mark.parametrize("shape", [(1, 1, 16, 16), (2, 3, 20, 24), (1, 2, 64, 64), (1, 5, 128, 128)])
@pytest.mark.filterwarnings("error")
def test_every_allowed_crop_has_an_appearance(shape: tuple[int, ...]) -> None:
    for pixels in (np.full(shape, -1024), np.full(shape, 3071), np.random.default_rng(0).normal(40, 30, shape)):
        assert np.isfinite(appearance(pixels.astype(np.int16))).all()


def test_the_histogram_is_of_tissue_and_bone_and_not_of_air_and_metal() -> None:
    pixels = np.full((1, 5, 16, 16), -1000, np.int16)
    pixels[0, :2], pixels[0, 2], pixels[0, 3] = 40, 200, 3000
    shares = np.exp(appearance(pixels)[0, HISTOGRAM]) - LEAST_SHARE
    bins = np.digitize([40, 200], HU_EDGES) - 1
    np.testing.assert_allclose(shares[bins], [2 / 3, 1 / 3], atol=2e-3)
    assert np.delete(shares, bins).max() < 1e-9


@pytest.mark.parametrize("hu", [5.0, 30.0, 100.0])
def test_noise_is_measured_in_hu_whatever_lies_below(hu: float) -> None:
    rows = np.arange(64)[:, None] * 3.0  # a slope is no noise
    pixels = rows + np.random.default_rng(2).normal(0, hu, (1, 5, 64, 64))
    within, between = np.expm1(appearance(np.rint(pixels).astype(np.int16))[0, NOISE])
    assert within == pytest.approx(hu, rel=0.05)
    assert between == pytest.approx(hu, rel=0.05)


def test_blur_along_rows_is_seen_along_rows() -> None:
    blurred = CROPS.astype(np.float64)
    for _ in range(8):
        blurred = (blurred + np.roll(blurred, 1, axis=2)) / 2
    change = (appearance(blurred.astype(np.int16)) - appearance(CROPS)).mean(axis=0)
    spectrum = change[SPECTRUM].reshape(-1, 3)
    assert spectrum[-1, 2] < spectrum[-1, 0] - 1  # highest band: along rows, along columns
    along_rows, along_columns = change[CORRELATION][:2]
    assert along_rows > along_columns


def test_the_layout_is_a_small_map_of_bone() -> None:
    pixels = np.zeros((1, 5, 64, 64), np.int16)
    pixels[..., :32, :16] = 1000
    layout = appearance(pixels)[0, LAYOUT_PART].reshape(LAYOUT, LAYOUT)
    assert (layout[:4, :2] == 1).all()
    assert layout.sum() == 8


@pytest.mark.parametrize("axis", [1, 2])
def test_turned_is_the_appearance_of_turned_crops(axis: int) -> None:
    np.testing.assert_allclose(turned(appearance(CROPS), axis), appearance(np.flip(CROPS, axis + 1)), atol=1e-4)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_rescaled_is_the_texture_of_crops_with_other_hu(factor: float) -> None:
    calm = np.clip(CROPS, -190, 290)  # so that nothing is clipped at the one scale and not at the other
    scaled = np.rint(calm * factor).astype(np.int16)
    difference = rescaled(appearance(calm), factor) - appearance(scaled)[:, TEXTURE]
    assert np.abs(difference).max() < 0.05
