"""Random changes of a batch of crops, drawn and applied for the whole batch at once."""

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional

from vertegrade.settings.dae import AugmentSettings


def _uniform(count: int, largest: float, generator: Generator) -> Tensor:
    return (torch.rand(count, generator=generator) * 2 - 1) * largest


def augmented(hu: Tensor, settings: AugmentSettings, generator: Generator) -> tuple[Tensor, Tensor]:
    """Turn, shift, zoom, mirror and scale float HU (B, S, H, W), one draw for all slices of a crop; without and with
    added noise: the encoder sees the noise, which the decoder need not draw."""
    count, _, height, width = hu.shape
    angle = _uniform(count, math.radians(settings.rotate_deg), generator)
    zoom = 1 + _uniform(count, settings.zoom, generator)
    shift_x = _uniform(count, 2 * settings.shift_px / width, generator)
    shift_y = _uniform(count, 2 * settings.shift_px / height, generator)
    cos, sin = angle.cos() * zoom, angle.sin() * zoom
    theta = torch.stack([torch.stack([cos, -sin, shift_x], 1), torch.stack([sin, cos, shift_y], 1)], 1)
    grid = functional.affine_grid(theta, list(hu.shape), align_corners=False).to(hu.device)
    hu = functional.grid_sample(hu, grid, mode="bilinear", padding_mode="border", align_corners=False)
    mirrored = (torch.rand(count, generator=generator) < 0.5 * settings.mirror).to(hu.device)
    hu = torch.where(mirrored[:, None, None, None], hu.flip(1), hu)
    gain = 1 + _uniform(count, settings.gain, generator).to(hu.device)[:, None, None, None]
    offset = _uniform(count, settings.offset_hu, generator).to(hu.device)[:, None, None, None]
    noise = torch.randn(hu.shape, generator=generator).to(hu.device)
    clean = hu * gain + offset
    return clean, clean + settings.noise_hu * noise
