"""The network of step 1: where the spine's bodies are in every axial slice, and whether there are any.

After Pisov et al. 2020 (MICCAI): a heat-map per slice whose expectation is the position (soft-argmax), and a second
head for the limits of the spine. The heat-map is coarse; each cell also says how far the centre is from it.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vertegrade.localizer.centreline.low_resolution import GRID_MM

CELL_MM = 2 * GRID_MM
WINDOW_HU = (-300.0, 900.0)


class CentrelineNetwork(nn.Module):
    """A three-level residual U-Net on cells of 8 mm (2 x 2 x 2 voxels as channels), with two heads.

    Call: image (B, 1, X, Y, Z), windowed, X, Y and Z multiples of 8 -> heat (B, X', Y', Z') logits of the position in
    each slice, offset (B, 2, X', Y', Z') mm from the cell's centre to the body's, exists (B, Z') logits.
    """

    def __init__(self, channels: tuple[int, int, int] = (16, 32, 64), blocks: tuple[int, int, int] = (1, 2, 2)) -> None:
        super().__init__()
        top, middle, deep = channels
        self.stem = nn.Conv3d(8, top, 3, padding=1)
        self.down = nn.ModuleList([_blocks(top, blocks[0]), _blocks(middle, blocks[1])])
        self.halve = nn.ModuleList([nn.Conv3d(top, middle, 2, 2), nn.Conv3d(middle, deep, 2, 2)])
        self.deepest = _blocks(deep, blocks[2])
        self.widen = nn.ModuleList([nn.Conv3d(deep, middle, 1), nn.Conv3d(middle, top, 1)])
        self.up = nn.ModuleList([_blocks(middle, 1), _blocks(top, 1)])
        self.heads = nn.Sequential(_ChannelNorm(top), nn.GELU(), nn.Conv3d(top, 3, 1))
        self.limits = nn.Sequential(nn.Conv1d(top + 1, 32, 5, padding=2), nn.GELU(), nn.Conv1d(32, 1, 5, padding=2))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See the class."""
        high = self.down[0](self.stem(_unshuffled(image)))
        middle = self.down[1](self.halve[0](high))
        deep = self.deepest(self.halve[1](middle))
        middle = self.up[0](middle + _doubled(self.widen[0](deep)))
        high = self.up[1](high + _doubled(self.widen[1](middle)))
        high = high.float()
        with torch.autocast(high.device.type, enabled=False):
            return self._read_out(high)

    def _read_out(self, high: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The heads, in full precision whatever the features (B, C, X', Y', Z') came in."""
        maps = self.heads(high)
        heat, offset = maps[:, 0], maps[:, 1:] * CELL_MM
        weight = heat.flatten(1, 2).softmax(1).unflatten(1, heat.shape[1:3])
        seen = (high * weight[:, None]).sum((2, 3))
        strength = heat.flatten(1, 2).logsumexp(1)[:, None] / 4
        return heat, offset, self.limits(torch.cat([seen, strength], 1))[:, 0]


class _Block(nn.Module):
    """Residual block: norm, convolution, activation, convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _ChannelNorm(channels),
            nn.Conv3d(channels, channels, 3, padding=1),
            nn.GELU(),
            nn.Conv3d(channels, channels, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class _ChannelNorm(nn.Module):
    """Normalises each place over its channels: what a place sees does not depend on how large the scan is."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-5) * self.gain


def _blocks(channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*[_Block(channels) for _ in range(count)])


def _unshuffled(image: Tensor) -> Tensor:
    """(B, 1, X, Y, Z) -> (B, 8, X/2, Y/2, Z/2)."""
    b, _, x, y, z = image.shape
    cells = image.reshape(b, x // 2, 2, y // 2, 2, z // 2, 2)
    return cells.permute(0, 2, 4, 6, 1, 3, 5).reshape(b, 8, x // 2, y // 2, z // 2)


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def windowed(hu: Tensor) -> Tensor:
    """HU clipped to the window, from -1 to 1."""
    low, high = WINDOW_HU
    return (hu.clamp(low, high) - low) * (2 / (high - low)) - 1


def cell_centres_mm(count: int) -> np.ndarray:
    """mm from the first voxel to the centres of `count` cells along an axis, float64 (count,)."""
    return np.arange(count) * CELL_MM + (CELL_MM - GRID_MM) / 2
