"""The diffusion process: noising, the training target, DDIM rendering and DDIM inversion (Song et al., ICLR 2021)."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from vertegrade.settings.dae import DaeModelSettings

NOISE_LEVELS = 1000
EVALUATIONS = 2  # of the U-Net in each step of the inversion
CLEAN = -1  # the level of x_0, below the first noisy one
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
        self.alpha_bar = torch.cumprod(1 - _betas(settings.schedule), dim=0)  # share of signal in the variance (1000,)
        self._there: dict[torch.device, Tensor] = {}  # the same on each device, since a copy waits for it

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

    def invert(self, unet: Denoiser, x0: Tensor, z: Tensor, steps: int) -> Tensor:
        """Encode x_0 (B, S, H, W) into the x_T from which `render` under the same z and steps finds it again.

        A step of `render` uses the noise found at the noisier of its two levels, which inversion does not know yet, so
        each step is iterated to a fixed point (Pan et al., ICCV 2023): the residual of 250 plain steps falls by 40, and
        50 steps of two evaluations already beat them.
        """
        x, levels = x0, ddim_levels(steps)
        for below, level in zip([CLEAN, *levels], levels, strict=False):
            t = torch.full((len(x),), level, device=x.device)
            noisier = x
            for _ in range(EVALUATIONS):
                noise = self.noise_of(unet(noisier, t, z), noisier, t)
                noisier = self._moved(x, noise, below, level)
            x = noisier
        return x

    def _moved(self, x: Tensor, noise: Tensor, start: int, end: int) -> Tensor:
        """x of one level at another one, with this noise in both (Song et al., ICLR 2021, formula 12 without sigma).

        Values are never clipped: clipping x_0 to the window breaks the inversion where a crop touches its ends.
        """
        here, there = (torch.tensor(1.0) if level == CLEAN else self.alpha_bar[level] for level in (start, end))
        x0 = (x - (1 - here) ** 0.5 * noise) / here**0.5
        return there**0.5 * x0 + (1 - there) ** 0.5 * noise


def ddim_levels(steps: int) -> list[int]:
    """The noise levels of DDIM with so many steps, rising from 0 and evenly spread, also where 1000 is no multiple."""
    if not 1 <= steps <= NOISE_LEVELS:
        raise ValueError(f"DDIM takes 1 to {NOISE_LEVELS} steps, one for each noise level, not {steps}")
    return [n * NOISE_LEVELS // steps for n in range(steps)]


def _betas(schedule: str) -> Tensor:
    """Variance of the noise that each level adds (1000,): of Ho et al. 2020, or of Nichol and Dhariwal 2021."""
    if schedule == "linear":
        return torch.linspace(1e-4, 0.02, NOISE_LEVELS)

    def left(time: float) -> float:
        return math.cos((time + 0.008) / 1.008 * math.pi / 2) ** 2

    times = [(n / NOISE_LEVELS, (n + 1) / NOISE_LEVELS) for n in range(NOISE_LEVELS)]
    return torch.tensor([min(1 - left(end) / left(start), 0.999) for start, end in times])
