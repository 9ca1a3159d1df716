"""Random changes of a batch of crops, drawn and applied for the whole batch at once."""

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional

from vertegrade.settings.dae import AugmentSettings


def _uniform(count: int, largest: float, generator: Generator) -> Tensor:
    return (torch.rand(count, generator=generator) * 2 - 1) * largest


def _elastic(count: int, height: int, width: int, std_px: float, generator: Generator) -> Tensor:
    """Smooth displacements in the units of `affine_grid`, (B, H, W, 2): x, y (Simard et al., ICDAR 2003).

    Normal draws on six nodes a side, a fifth of the crop apart, so that a body can lose height at the front alone; half
    of the outermost interval lies outside the crop, where cubic interpolation has too few nodes.
    """
    nodes, margin = 6, (height // 6, width // 6)
    scale = torch.tensor([2 * std_px / width, 2 * std_px / height])[:, None, None]
    drawn = torch.randn((count, 2, nodes, nodes), generator=generator) * scale
    size = (height + 2 * margin[0], width + 2 * margin[1])
    smooth = functional.interpolate(drawn, size=size, mode="bicubic", align_corners=False)
    return smooth[:, :, margin[0] : margin[0] + height, margin[1] : margin[1] + width].permute(0, 2, 3, 1)


def augmented(hu: Tensor, settings: AugmentSettings, generator: Generator) -> tuple[Tensor, Tensor]:
    """Turn, shift, zoom, warp, mirror and scale float HU (B, S, H, W), one draw for all slices of a crop.

    Returns them without and with added noise: the encoder sees the noise, which the decoder need not draw.
    """
    count, _, height, width = hu.shape
    angle = _uniform(count, math.radians(settings.rotate_deg), generator)
    zoom = 1 + _uniform(count, settings.zoom, generator)
    shift_x = _uniform(count, 2 * settings.shift_px / width, generator)
    shift_y = _uniform(count, 2 * settings.shift_px / height, generator)
    cos, sin = angle.cos() * zoom, angle.sin() * zoom
    theta = torch.stack([torch.stack([cos, -sin, shift_x], 1), torch.stack([sin, cos, shift_y], 1)], 1)
    grid = functional.affine_grid(theta, list(hu.shape), align_corners=False)
    if settings.elastic_px:
        grid = grid + _elastic(count, height, width, settings.elastic_px, generator)
    grid = grid.to(hu.device)
    hu = functional.grid_sample(hu, grid, mode="bilinear", padding_mode="border", align_corners=False)
    mirrored = (torch.rand(count, generator=generator) < 0.5 * settings.mirror).to(hu.device)
    hu = torch.where(mirrored[:, None, None, None], hu.flip(1), hu)
    gain = 1 + _uniform(count, settings.gain, generator).to(hu.device)[:, None, None, None]
    offset = _uniform(count, settings.offset_hu, generator).to(hu.device)[:, None, None, None]
    noise = torch.randn(hu.shape, generator=generator).to(hu.device)
    clean = hu * gain + offset
    return clean, clean + settings.noise_hu * noise
