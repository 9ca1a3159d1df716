"""The diffusion process on data whose perfect denoiser is known: independent pixels N(0, 0.2^2)."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from torch import Tensor

from helpers.tiny_dae import MODEL
from vertegrade.graders.dae.diffusion import CLEAN, Diffusion, ddim_levels

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
def test_rendered_noise_has_the_spread_of_the_data(schedule: str, prediction: str) -> None:
    diffusion, (x0, z) = diffusion_of(schedule, prediction), crops()
    noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(2))
    assert diffusion.render(perfect(diffusion), noise, z, ddim_levels(150)).std() == pytest.approx(STD, rel=0.1)


@pytest.mark.parametrize(("schedule", "known"), [("linear", "linear"), ("cosine", "squaredcos_cap_v2")])
@pytest.mark.parametrize("steps", [20, 100, 250])
def test_a_step_is_that_of_diffusers(schedule: str, known: str, steps: int) -> None:
    diffusion, (x, _) = diffusion_of(schedule, "epsilon"), crops()
    scheduler = DDIMScheduler(
        beta_schedule=known, beta_start=1e-4, beta_end=0.02, clip_sample=False, timestep_spacing="leading"
    )
    scheduler.set_timesteps(steps)
    levels = scheduler.timesteps.tolist()
    torch.testing.assert_close(diffusion.alpha_bar, scheduler.alphas_cumprod, rtol=0, atol=0)
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(5))
    for level, below in zip(levels, [*levels[1:], CLEAN], strict=True):
        wanted = scheduler.step(noise, level, x, return_dict=False)[0]
        assert torch.equal(diffusion._moved(x, noise, level, below), wanted)


@pytest.mark.parametrize("steps", [3, 7, 20, 300, 600, 999, 1000])
def test_levels_are_evenly_spread_over_the_whole_schedule_as_diffusers_has_them(steps: int) -> None:
    scheduler = DDIMScheduler(timestep_spacing="linspace")
    scheduler.set_timesteps(steps)
    levels = ddim_levels(steps)
    assert levels == scheduler.timesteps.tolist()
    assert (len(levels), levels[0], levels[-1]) == (steps, 999, 0)
    gaps = {before - after for before, after in pairwise(levels)}
    assert max(gaps) - min(gaps) <= 1


def test_levels_may_end_early() -> None:
    assert ddim_levels(6, 750) == [999, 949, 899, 850, 800, 750]
    assert ddim_levels(1, 0) == [999]
    assert len(set(ddim_levels(100, 900))) == 100


@pytest.mark.parametrize(("steps", "lowest"), [(0, 0), (1001, 0), (101, 900)])
def test_no_steps_or_more_than_levels_are_refused(steps: int, lowest: int) -> None:
    with pytest.raises(ValueError, match="steps from level 999 to"):
        ddim_levels(steps, lowest)
