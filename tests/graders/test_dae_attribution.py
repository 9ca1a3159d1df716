"""Maps of where the severity comes from, with encoders whose answer is known."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vertegrade.graders.dae.attribution import (
    Sight,
    agreement,
    as_coarse_as_occlusion,
    integrated_gradients,
    occlusion,
    soft_patches,
)

SIDE = 16
RNG = np.random.default_rng(3)
IMAGES = RNG.uniform(-1, 1, (3, 2, SIDE, SIDE)).astype(np.float32)
AVERAGES = RNG.uniform(-1, 1, (3, 2, SIDE, SIDE)).astype(np.float32)
WEIGHTS = RNG.normal(size=(2, SIDE, SIDE)).astype(np.float32)


class Weighted(nn.Module):
    """One number of an image: the weighted sum of its pixels, or of what `bend` makes of them."""

    def __init__(self, weights: np.ndarray, bend: Any = None) -> None:
        super().__init__()
        self.weights, self.bend = nn.Parameter(torch.tensor(weights), requires_grad=False), bend

    def forward(self, x: Tensor) -> Tensor:
        x = self.bend(x) if self.bend else x
        return (x * self.weights).sum(dim=(1, 2, 3))[:, None]


def sight(weights: np.ndarray = WEIGHTS, bend: Any = None, direction: float = 2.0) -> Sight:
    return Sight(Weighted(weights, bend), np.array([direction]), torch.device("cpu"))


def test_a_linear_encoder_is_known_exactly() -> None:
    found = integrated_gradients(sight(), IMAGES, AVERAGES)
    np.testing.assert_allclose(found, 2 * ((IMAGES - AVERAGES) * WEIGHTS).sum(axis=1), rtol=1e-4, atol=1e-4)


def test_gradients_are_averaged_along_the_path() -> None:
    """The integral of 2 x is x^2 at the end less that at the start; gradient times image would be twice that."""
    found = integrated_gradients(sight(bend=torch.square), IMAGES, AVERAGES)
    np.testing.assert_allclose(found, 2 * ((IMAGES**2 - AVERAGES**2) * WEIGHTS).sum(axis=1), rtol=1e-3, atol=1e-3)


def test_the_pixels_add_up_to_the_difference_of_the_scores() -> None:
    seen = sight(bend=torch.tanh)
    found = integrated_gradients(seen, IMAGES, AVERAGES).sum(axis=(1, 2))
    np.testing.assert_allclose(found, seen.scores(IMAGES) - seen.scores(AVERAGES), rtol=2e-3)


def test_occlusion_finds_the_one_spot_that_counts() -> None:
    weights = np.zeros((1, 64, 64), np.float32)
    weights[0, 20:24, 40:44] = 1 / 16
    images, averages = np.ones((1, 1, 64, 64), np.float32), np.zeros((1, 1, 64, 64), np.float32)
    found = occlusion(sight(weights, direction=3.0), images, averages, 0.75)[0]
    y, x = np.unravel_index(found.argmax(), found.shape)
    assert max(abs(y - 21.5), abs(x - 41.5)) <= 4
    assert 0.5 < found.max() <= 3  # no patch can take away more than there is
    assert np.abs(found[45:, :20]).max() < 1e-3


@pytest.mark.parametrize("pixel_mm", [0.75, 0.375])
def test_patches_cover_the_crop_evenly(pixel_mm: float) -> None:
    covered = soft_patches(64, pixel_mm).sum(axis=0)
    inner = covered[16:-16, 16:-16]
    assert inner.max() < 1.35 * inner.min()
    assert covered.min() > 0.2 * inner.min()


def test_a_right_map_agrees_and_a_wrong_one_does_not() -> None:
    right = integrated_gradients(sight(), IMAGES, AVERAGES)
    wrong = RNG.permuted(right.reshape(3, -1), axis=1).reshape(right.shape)
    maps = {"right": right, "wrong": wrong, "flat": np.zeros_like(right)}
    found = agreement(sight(), IMAGES, AVERAGES, maps, 0.75, np.random.default_rng(0))
    assert found["right"].min() > 0.999
    assert np.abs(found["wrong"]).max() < 0.8
    np.testing.assert_array_equal(found["flat"], 0)


def test_shuffled_weights_are_the_same_in_another_order() -> None:
    seen = sight()
    before = seen.scores(IMAGES)
    nothing = seen.shuffled(1)
    ours, theirs = (next(of.encoder.parameters()).flatten() for of in (seen, nothing))
    assert not torch.equal(ours, theirs)
    assert torch.equal(ours.sort().values, theirs.sort().values)
    np.testing.assert_array_equal(seen.scores(IMAGES), before)
    np.testing.assert_array_equal(nothing.scores(IMAGES), seen.shuffled(1).scores(IMAGES))
    assert np.abs(nothing.scores(IMAGES) - before).min() > 0.1


def test_no_image_has_no_map() -> None:
    none = np.zeros((0, 1, 64, 64), np.float32)
    seen = sight(np.ones((1, 64, 64), np.float32))
    assert integrated_gradients(seen, none, none).shape == occlusion(seen, none, none, 0.75).shape == (0, 64, 64)
    assert as_coarse_as_occlusion(np.zeros((0, 64, 64)), 0.75).shape == (0, 64, 64)
    found = agreement(seen, none, none, {"a": np.zeros((0, 64, 64))}, 0.75, np.random.default_rng(0))
    assert found["a"].shape == (0,)


def test_a_pixel_has_the_weighted_mean_of_the_patches_over_it() -> None:
    images, averages, weights = (of[:1, :1] if of.ndim == 4 else of[:1] for of in (IMAGES, AVERAGES, WEIGHTS))
    patches = soft_patches(SIDE, 2.0).astype(np.float64)
    lost = np.array([2 * (weights * patch * (images - averages)[0]).sum() for patch in patches])
    wanted = (lost[:, None, None] * patches).sum(axis=0) / patches.sum(axis=0)
    np.testing.assert_allclose(occlusion(sight(weights), images, averages, 2.0)[0], wanted, rtol=1e-3, atol=1e-4)
