"""Random changes of a batch of vertebrae: one change for all slices of a vertebra."""

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional

TURN_DEG, SHIFT_PX, SCALE = 12.0, 4.0, 0.12  # largest
GAIN, OFFSET, NOISE = 0.1, 0.05, 0.03  # largest, as parts of the window


def augmented(slices: Tensor, generator: Generator) -> Tensor:
    """Slices (B, S, 2, H, W) in the window, mirrored, turned, shifted, scaled, brighter or darker, and noisier.

    Mirroring exchanges the sides; posterolateral involvement counts sides, so no label changes.
    """
    count, height, channels, rows, columns = slices.shape
    flat = slices.reshape(count, height * channels, rows, columns)
    turn = _drawn(count, math.radians(TURN_DEG), generator)
    scale = torch.exp(_drawn(count, SCALE, generator))
    mirror = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
    shift = [_drawn(count, 2 * SHIFT_PX / size, generator) for size in (columns, rows)]
    cos, sin = turn.cos() * scale, turn.sin() * scale
    way = torch.stack(
        [torch.stack([cos * mirror, -sin, shift[0]], 1), torch.stack([sin * mirror, cos, shift[1]], 1)], 1
    )
    grid = functional.affine_grid(way, list(flat.shape), align_corners=False)
    moved = functional.grid_sample(flat, grid, padding_mode="border", align_corners=False).view_as(slices)
    hu, mask = moved[:, :, 0], moved[:, :, 1]
    shape = (count, 1, 1, 1)
    gain, offset = 1 + _drawn(count, GAIN, generator).view(shape), _drawn(count, OFFSET, generator).view(shape)
    noise = torch.randn(hu.shape, generator=generator) * (torch.rand(shape, generator=generator) * NOISE)
    return torch.stack([hu * gain + offset + noise, mask], dim=2)


def _drawn(count: int, largest: float, generator: Generator) -> Tensor:
    return (torch.rand(count, generator=generator) * 2 - 1) * largest
