"""Decoding into a body: all around stays as it is, and x_T is noise."""

import numpy as np
import pytest
import torch

from helpers.tiny_dae import MODEL, pixels
from vertegrade.graders.dae import decoding
from vertegrade.graders.dae.decoding import EDGE_MM, body_masks, decode, noise_of
from vertegrade.graders.dae.diffusion import Diffusion, ddim_levels
from vertegrade.graders.dae.network import DaeNetwork
from vertegrade.graders.dae.pixels import hounsfield, windowed
from vertegrade.graders.dae.weights import Dae

SIX = np.array([[20, 22], [40, 22], [22, 31], [38, 31], [20, 40], [40, 40]], float)  # row, column


def tiny() -> Dae:
    torch.manual_seed(0)
    network = DaeNetwork(MODEL, 16).eval().requires_grad_(False)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return Dae(network, Diffusion(MODEL), MODEL, (3, 16, 16), "", {}, torch.device("cpu"))


def test_a_body_reaches_beyond_its_columns_to_the_walls() -> None:
    (mask,) = body_masks(SIX[None], 64, 1.0)
    rows, columns = np.nonzero(mask)
    assert rows.min() in (20, 21)
    assert rows.max() in (39, 40)
    # The columns lie at 0.85 of the half depth: the walls are at 20.4 and 41.6.
    assert (columns.min(), columns.max()) == (21, 41)


def test_the_margin_and_its_seam_are_millimetres() -> None:
    (mask,) = body_masks(SIX[None], 64, 0.5, margin_mm=2.0)
    (body,) = body_masks(SIX[None], 64, 0.5)
    middle = mask[:, 31]
    first = int(np.flatnonzero(body[:, 31])[0])
    assert middle[first - 4] == 1  # 2 mm above
    assert 0 < middle[first - 5] < 1
    assert middle[first - 4 - int(EDGE_MM / 0.5)] == 0


def test_points_outside_of_the_crop_give_an_empty_body() -> None:
    masks = body_masks(SIX[None] + 500, 64, 1.0, margin_mm=2.0)
    assert not masks.any()


def test_noise_is_noise_and_belongs_to_its_vertebra() -> None:
    noise = noise_of(["a/1", "b/2"], 3, (1, 64, 64))
    np.testing.assert_array_equal(noise_of(["b/2"], 3, (1, 64, 64))[0], noise[1])
    assert not np.array_equal(noise_of(["b/2"], 4, (1, 64, 64))[0], noise[1])
    assert abs(noise.std() - 1) < 0.05
    assert abs(np.corrcoef(noise[..., 1:].ravel(), noise[..., :-1].ravel())[0, 1]) < 0.05
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.05
    assert noise_of([], 3, (1, 8, 8)).shape == (0, 1, 8, 8)


def test_only_the_body_is_drawn_and_by_its_latent() -> None:
    dae, crops = tiny(), windowed(hounsfield(pixels()[:3], MODEL), MODEL)
    noise = noise_of(["a", "b", "c"], 0, (3, 16, 16))
    masks = np.zeros((3, 16, 16), np.float32)
    masks[:, 4:12, 4:12] = 1
    z = np.random.default_rng(0).normal(size=(3, 8))
    levels = ddim_levels(4, 500)
    drawn = decode(dae, crops, noise, masks, z, levels)
    outside = torch.from_numpy(masks == 0)[:, None].expand_as(crops)
    assert torch.equal(drawn[outside], crops[outside])
    other = decode(dae, crops, noise, masks, z + 1, levels)
    assert (drawn - other)[~outside].abs().max() > 0.01
    alone = decode(dae, crops[1:2], noise[1:2], masks[1:2], z[1:2], levels)
    torch.testing.assert_close(alone, drawn[1:2], rtol=1e-4, atol=1e-4)


def test_a_step_is_that_of_ddim(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the noise is known, every level gives the image back."""
    dae, crops = tiny(), windowed(hounsfield(pixels()[:2], MODEL), MODEL)

    def known(prediction: torch.Tensor, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        signal, sigma = dae.diffusion.amounts(t)
        return (x - signal * crops) / sigma

    monkeypatch.setattr(dae.diffusion, "noise_of", known)
    noise, everywhere = noise_of(["a", "b"], 0, (3, 16, 16)), np.ones((2, 16, 16), np.float32)
    found = decode(dae, crops, noise, everywhere, np.zeros((2, 8)), ddim_levels(5, 300))
    torch.testing.assert_close(found, crops, rtol=1e-3, atol=1e-3)


def test_a_picture_stays_within_the_window() -> None:
    """Also where the U-Net draws beyond it."""
    diffusion = Diffusion(MODEL.model_copy(update={"prediction": "v"}))
    beyond = torch.tensor([-3.0, 0.25, 3.0]).expand(1, 1, 2, 3)

    def unet(x: torch.Tensor, t: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        signal, sigma = diffusion.amounts(t)
        return diffusion.target(beyond, (x - signal * beyond) / sigma, t)

    found = diffusion.render(unet, torch.randn(1, 1, 2, 3), torch.zeros(1, 2), ddim_levels(5, 300))
    torch.testing.assert_close(found[0, 0, 0], torch.tensor([-1.0, 0.25, 1.0]), atol=1e-4, rtol=0)


def test_a_body_is_whole_between_its_endplates() -> None:
    (mask,) = body_masks(SIX[None], 64, 1.0)
    for column, (first, last) in {22: (20, 39), 31: (22, 37), 40: (20, 39)}.items():
        rows = np.flatnonzero(mask[:, column])
        assert abs(rows[0] - first) <= 1
        assert abs(rows[-1] - last) <= 1
        assert (np.diff(rows) == 1).all()


def test_all_batches_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    dae, crops = tiny(), windowed(hounsfield(pixels()[:3], MODEL), MODEL)
    z = np.random.default_rng(0).normal(size=(3, 8))
    given = noise_of(["a", "b", "c"], 0, (3, 16, 16)), np.ones((3, 16, 16), np.float32), z, ddim_levels(3, 500)
    whole = decode(dae, crops, *given)
    monkeypatch.setattr(decoding, "BATCH", 2)
    torch.testing.assert_close(decode(dae, crops, *given), whole, rtol=1e-4, atol=1e-4)
