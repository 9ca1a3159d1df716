"""The diffusion process on data whose perfect denoiser is known: independent pixels N(0, 0.2^2)."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from helpers.tiny_dae import MODEL
from vertegrade.graders.dae.diffusion import Diffusion

STD = 0.2
PREDICTIONS = ("v_residual", "v", "epsilon")
SETTINGS = [(schedule, prediction) for schedule in ("linear", "cosine") for prediction in PREDICTIONS]


def diffusion_of(schedule: str, prediction: str) -> Diffusion:
    return Diffusion(MODEL.model_copy(update={"schedule": schedule, "prediction": prediction}))


def perfect(diffusion: Diffusion) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """The best prediction for Gaussian pixels: E[noise | x_t], or v made of it."""

    def unet(x: Tensor, t: Tensor, z: Tensor) -> Tensor:
        signal, sigma = diffusion.amounts(t)
        variance = signal**2 * STD**2 + sigma**2
        noise, x0 = sigma * x / variance, signal * STD**2 * x / variance
        return diffusion.target(x0, noise, t)

    return unet


def crops() -> tuple[Tensor, Tensor]:
    return STD * torch.randn(4, 1, 16, 16, generator=torch.Generator().manual_seed(0)), torch.zeros(4, 2)


def test_published_schedule() -> None:
    beta = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    wanted = torch.cumprod(1 - beta, 0).float()
    torch.testing.assert_close(diffusion_of("linear", "epsilon").alpha_bar, wanted, rtol=1e-4, atol=0)


@pytest.mark.parametrize(("schedule", "prediction"), SETTINGS)
def test_noise_is_read_back_from_the_target(schedule: str, prediction: str) -> None:
    diffusion = diffusion_of(schedule, prediction)
    (x0, _), t = crops(), torch.tensor([0, 300, 700, 999])
    noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(1))
    x_t = diffusion.noised(x0, noise, t)
    torch.testing.assert_close(diffusion.noise_of(diffusion.target(x0, noise, t), x_t, t), noise, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("schedule", "prediction"), SETTINGS)
def test_inversion_round_trip(schedule: str, prediction: str) -> None:
    diffusion, (x0, z) = diffusion_of(schedule, prediction), crops()
    x_last = diffusion.invert(perfect(diffusion), x0, z, 100)
    again = diffusion.render(perfect(diffusion), x_last, z, 100)
    assert (again - x0).square().mean().sqrt() < 0.01 * STD


@pytest.mark.parametrize(("schedule", "prediction"), SETTINGS)
def test_inverted_crops_are_noise_of_unit_variance(schedule: str, prediction: str) -> None:
    diffusion, (x0, z) = diffusion_of(schedule, prediction), crops()
    assert diffusion.invert(perfect(diffusion), x0, z, 250).std() == pytest.approx(1, abs=0.1)


def test_inversion_does_not_clip_values_outside_the_window() -> None:
    diffusion, (x0, z) = diffusion_of("linear", "v"), crops()
    low, high = (diffusion.invert(perfect(diffusion), x0 + offset, z, 20) for offset in (2.0, 3.0))
    assert (high - low).abs().min() > 1


@pytest.mark.parametrize(("schedule", "prediction"), SETTINGS)
def test_rendered_noise_has_the_spread_of_the_data(schedule: str, prediction: str) -> None:
    diffusion, (x0, z) = diffusion_of(schedule, prediction), crops()
    noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(2))
    assert diffusion.render(perfect(diffusion), noise, z, 100).std() == pytest.approx(STD, rel=0.1)
