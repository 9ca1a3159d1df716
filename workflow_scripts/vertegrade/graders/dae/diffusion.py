"""The diffusion process: noising, the training target, DDIM rendering and DDIM inversion (Song et al., ICLR 2021)."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from vertegrade.settings.dae import DaeModelSettings

NOISE_LEVELS = 1000
EVALUATIONS = 2  # of the U-Net in each step of the inversion
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
        self.prediction = settings.prediction
        # Values are never clipped: clipping x_0 to the window breaks the inversion where a crop touches its ends.
        self._options = _BETAS[settings.schedule] | {"num_train_timesteps": NOISE_LEVELS, "clip_sample": False}

    # diffusers is imported where it is needed: it takes two seconds, and a job that only encodes need not wait.
    @cached_property
    def alpha_bar(self) -> Tensor:
        """Share of signal in the variance at each level (1000,)."""
        from diffusers.schedulers.scheduling_ddim import DDIMScheduler

        alpha_bar: Tensor = DDIMScheduler(**self._options).alphas_cumprod
        return alpha_bar

    def amounts(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Share of signal and noise, sqrt(alpha_bar) and sqrt(1 - alpha_bar), of levels (B,), as (B, 1, 1, 1)."""
        alpha_bar = self.alpha_bar.to(t.device)[t][:, None, None, None]
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
        from diffusers.schedulers.scheduling_ddim import DDIMScheduler

        scheduler = DDIMScheduler(**self._options, timestep_spacing="leading", set_alpha_to_one=True)
        scheduler.set_timesteps(steps)
        x = x_last
        for t in scheduler.timesteps.tolist():
            levels = torch.full((len(x),), t, device=x.device)
            noise = self.noise_of(unet(x, levels, z), x, levels)
            x = scheduler.step(noise, t, x, return_dict=False)[0]
        return x.clamp(-1, 1)

    def invert(self, unet: Denoiser, x0: Tensor, z: Tensor, steps: int) -> Tensor:
        """Encode x_0 (B, S, H, W) into the x_T from which `render` under the same z and steps finds it again.

        A step of `render` uses the noise found at the noisier of its two levels, which inversion does not know yet, so
        each step is iterated to a fixed point (Pan et al., ICCV 2023): the residual of 250 plain steps falls by 40, and
        50 steps of two evaluations already beat them.
        """
        from diffusers.schedulers.scheduling_ddim_inverse import DDIMInverseScheduler

        scheduler = DDIMInverseScheduler(**self._options, timestep_spacing="leading", set_alpha_to_one=True)
        scheduler.set_timesteps(steps)
        x = x0
        for t in scheduler.timesteps.tolist():
            levels = torch.full((len(x),), t, device=x.device)
            noisier = x
            for _ in range(EVALUATIONS):
                # The prediction becomes noise here, at the level where it was made: the scheduler would mix two levels,
                # harmless for epsilon but not for v.
                noise = self.noise_of(unet(noisier, levels, z), noisier, levels)
                noisier = scheduler.step(noise, t, x, return_dict=False)[0]
            x = noisier
        return x
