"""The diffusion process: noising, the training target and DDIM rendering (Song et al., ICLR 2021)."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from vertegrade.settings.dae import DaeModelSettings

NOISE_LEVELS = 1000
CLEAN = -1  # the level of x_0, below the first noisy one
_BETAS: dict[str, dict[str, Any]] = {
    "linear": {"beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02},
    "cosine": {"beta_schedule": "squaredcos_cap_v2"},
}
Denoiser = Callable[[Tensor, Tensor, Tensor], Tensor]


# Mean square of what z leaves unknown of a windowed crop (measured: 0.037 after 600 steps of the demo's training). With
# the mean square of the crops themselves, 0.4, the U-Net would still have to pass most of the noise through.
UNKNOWN = 0.04


class Diffusion:
    """A noise schedule of 1000 levels and what the U-Net predicts at each.

    The noise; v = sqrt(alpha_bar) noise - sqrt(1 - alpha_bar) x_0 (Salimans and Ho, ICLR 2022); or the residual of v
    after the best linear guess from each noisy value for what z leaves unknown (the skip of Karras et al., NeurIPS
    2022, section 5, with z's share of the crop as the mean).
    """

    def __init__(self, settings: DaeModelSettings) -> None:
        self.prediction, self._schedule = settings.prediction, settings.schedule
        self._there: dict[torch.device, Tensor] = {}  # the same on each device, since a copy waits for it

    # diffusers is imported where it is needed: it takes two seconds, and a job that only encodes need not wait.
    @cached_property
    def alpha_bar(self) -> Tensor:
        """Share of signal in the variance at each level (1000,)."""
        from diffusers.schedulers.scheduling_ddim import DDIMScheduler

        alpha_bar: Tensor = DDIMScheduler(**_BETAS[self._schedule], num_train_timesteps=NOISE_LEVELS).alphas_cumprod
        return alpha_bar

    def amounts(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Share of signal and noise, sqrt(alpha_bar) and sqrt(1 - alpha_bar), of levels (B,), as (B, 1, 1, 1)."""
        if t.device not in self._there:
            self._there[t.device] = self.alpha_bar.to(t.device)
        alpha_bar = self._there[t.device][t][:, None, None, None]
        return alpha_bar.sqrt(), (1 - alpha_bar).sqrt()

    def noised(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """x_t of (B, S, H, W)."""
        signal, sigma = self.amounts(t)
        return signal * x0 + sigma * noise

    def target(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """What the U-Net should predict at x_t."""
        if self.prediction == "epsilon":
            return noise
        signal, sigma = self.amounts(t)
        return signal * noise - sigma * x0 - self._guess(self.noised(x0, noise, t), t)

    def noise_of(self, prediction: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """The noise in x_t that corresponds to a prediction made at (x_t, t)."""
        if self.prediction == "epsilon":
            return prediction
        signal, sigma = self.amounts(t)
        return signal * (prediction + self._guess(x_t, t)) + sigma * x_t

    def _guess(self, x_t: Tensor, t: Tensor) -> Tensor:
        """What the U-Net need not predict of v: E[v x_t] / E[x_t^2] x_t for values of mean square UNKNOWN."""
        if self.prediction == "v":
            return torch.zeros_like(x_t)
        signal, sigma = self.amounts(t)
        return signal * sigma * (1 - UNKNOWN) / (signal**2 * UNKNOWN + sigma**2) * x_t

    def render(self, unet: Denoiser, x_last: Tensor, z: Tensor, steps: int) -> Tensor:
        """Decode x_T (B, S, H, W) under z (B, z_dim) by deterministic DDIM; x_0 in [-1, 1]."""
        x, levels = x_last, ddim_levels(steps)
        for below, level in reversed(list(zip([CLEAN, *levels], levels, strict=False))):
            t = torch.full((len(x),), level, device=x.device)
            x = self._moved(x, self.noise_of(unet(x, t, z), x, t), level, below)
        return x.clamp(-1, 1)

    def _moved(self, x: Tensor, noise: Tensor, start: int, end: int) -> Tensor:
        """x of one level at another one, with this noise in both (Song et al., ICLR 2021, formula 12 without sigma)."""
        here, there = (torch.tensor(1.0) if level == CLEAN else self.alpha_bar[level] for level in (start, end))
        x0 = (x - (1 - here) ** 0.5 * noise) / here**0.5
        return there**0.5 * x0 + (1 - there) ** 0.5 * noise


def ddim_levels(steps: int) -> list[int]:
    """The noise levels of DDIM with so many steps, rising from 0 and evenly spread, also where 1000 is no multiple."""
    if not 1 <= steps <= NOISE_LEVELS:
        raise ValueError(f"DDIM takes 1 to {NOISE_LEVELS} steps, one for each noise level, not {steps}")
    return [n * NOISE_LEVELS // steps for n in range(steps)]
