"""The diffusion process: noising, the training target and DDIM rendering (Song et al., ICLR 2021)."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
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

    def render(
        self, unet: Denoiser, x_last: Tensor, z: Tensor, levels: Sequence[int], around: "Around | None" = None
    ) -> Tensor:
        """Decode x_T (B, S, H, W) under z (B, z_dim) by deterministic DDIM; x_0 in [-1, 1].

        levels: falling noise levels (`ddim_levels`); after the last one x_0 is taken as it is predicted there.
        """
        x = x_last
        for level, below in zip(levels, [*levels[1:], CLEAN], strict=True):
            t = torch.full((len(x),), level, device=x.device)
            x = self._moved(x, self.noise_of(unet(x, t, z), x, t), level, below)
            if around is not None:
                x = around.drawn * x + (1 - around.drawn) * self._at(around.image, around.noise, below)
        return x.clamp(-1, 1)

    def _moved(self, x: Tensor, noise: Tensor, start: int, end: int) -> Tensor:
        """x of one level at another one, with this noise in both (Song et al., ICLR 2021, formula 12 without sigma)."""
        here = self._signal(start)
        return self._at((x - (1 - here) ** 0.5 * noise) / here**0.5, noise, end)

    def _at(self, x0: Tensor, noise: Tensor, level: int) -> Tensor:
        there = self._signal(level)
        return there**0.5 * x0 + (1 - there) ** 0.5 * noise

    def _signal(self, level: int) -> Tensor:
        return torch.tensor(1.0) if level == CLEAN else self.alpha_bar[level]


class Around(NamedTuple):
    """What a rendering keeps: where drawn (B, 1, H, W) is 0, the image (B, S, H, W) with its noise at every level.

    As in RePaint (Lugmayr et al., CVPR 2022).
    """

    drawn: Tensor
    image: Tensor
    noise: Tensor


def ddim_levels(steps: int, lowest: int = 0) -> list[int]:
    """Falling noise levels of DDIM with so many steps, evenly spread from the noisiest to `lowest`.

    The first is always the noisiest, because x_T is noise and nothing else (Lin et al., WACV 2024); for any number.
    """
    if not 1 <= steps <= NOISE_LEVELS - lowest:
        raise ValueError(
            f"DDIM takes 1 to {NOISE_LEVELS - lowest} steps from level {NOISE_LEVELS - 1} to {lowest}, not {steps}"
        )
    return [int(level) for level in np.linspace(NOISE_LEVELS - 1, lowest, steps).round()]
