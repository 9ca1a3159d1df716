"""Blocks of the diffusion autoencoder (Preechakul et al., "Diffusion Autoencoders", CVPR 2022)."""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Resample = Literal["same", "down", "up"]


def group_norm(channels: int) -> nn.GroupNorm:
    """GroupNorm with the published 32 groups, or as many groups of two or more channels as fit."""
    return nn.GroupNorm(math.gcd(32, channels // 2), channels)


def zeroed(module: nn.Conv2d) -> nn.Conv2d:
    """The module with zero weights, so that a residual branch starts as the identity."""
    nn.init.zeros_(module.weight)
    if module.bias is not None:
        nn.init.zeros_(module.bias)
    return module


def resample(h: Tensor, kind: Resample) -> Tensor:
    """Halve (mean), double (nearest) or keep the sides of (B, C, H, W)."""
    if kind == "down":
        return functional.avg_pool2d(h, 2)
    return functional.interpolate(h, scale_factor=2.0, mode="nearest") if kind == "up" else h


def time_features(t: Tensor, length: int) -> Tensor:
    """Sinusoids of the noise level, (B,) -> (B, length), cosines first (Vaswani et al. 2017; Ho et al. 2020)."""
    frequencies = torch.exp(-math.log(10000) * torch.arange(length // 2, device=t.device) / (length // 2))
    angles = t.float()[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=1)


class AdaGN(nn.Module):
    """Adaptive group norm in two stages: scale and shift by time, then scale by z_sem.

    h = GN(h); h = h * (1 + t_s) + t_b; h = h * (1 + z_s), with t_s, t_b = Linear(SiLU(time)), z_s = Linear(SiLU(z)).
    """

    def __init__(self, channels: int, embedding: int, z_dim: int) -> None:
        super().__init__()
        self.norm = group_norm(channels)
        self.time = nn.Linear(embedding, 2 * channels)
        self.semantic = nn.Linear(z_dim, channels)

    def forward(self, h: Tensor, time: Tensor, z: Tensor) -> Tensor:
        """Normalise (B, C, H, W) under (B, embedding) and (B, z_dim)."""
        t_scale, t_shift = self.time(functional.silu(time))[:, :, None, None].chunk(2, dim=1)
        z_scale = self.semantic(functional.silu(z))[:, :, None, None]
        h = self.norm(h) * (1 + t_scale) + t_shift
        return h * (1 + z_scale)


class ResBlock(nn.Module):
    """Residual block of the U-Net, conditioned on time and z_sem; its last convolution starts at zero.

    side: side of its output if it adds a learned map of the position before AdaGN, so that z_sem, a scale, can choose
    among places and not only among textures; 0 (published) for none.
    """

    def __init__(
        self, channels: int, out: int, embedding: int, z_dim: int, dropout: float, side: int, kind: Resample = "same"
    ) -> None:
        super().__init__()
        self.kind: Resample = kind
        self.norm = group_norm(channels)
        self.first = nn.Conv2d(channels, out, 3, padding=1)
        self.position = nn.Parameter(torch.randn(1, out, side, side)) if side else 0.0
        self.adaptive = AdaGN(out, embedding, z_dim)
        self.dropout = nn.Dropout(dropout)
        self.last = zeroed(nn.Conv2d(out, out, 3, padding=1))
        self.skip = nn.Identity() if channels == out else nn.Conv2d(channels, out, 1)

    def forward(self, x: Tensor, time: Tensor, z: Tensor) -> Tensor:
        """(B, channels, H, W) -> (B, out, H', W')."""
        h = self.first(resample(functional.silu(self.norm(x)), self.kind)) + self.position
        h = self.last(self.dropout(functional.silu(self.adaptive(h, time, z))))
        return self.skip(resample(x, self.kind)) + h


class EncoderBlock(nn.Module):
    """Residual block of the semantic encoder: one convolution and no condition, as in the released code."""

    def __init__(self, channels: int, out: int, kind: Resample = "same") -> None:
        super().__init__()
        self.kind: Resample = kind
        self.norm = group_norm(channels)
        self.conv = nn.Conv2d(channels, out, 3, padding=1)
        self.skip = nn.Identity() if channels == out else nn.Conv2d(channels, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) -> (B, out, H', W')."""
        h = self.conv(resample(functional.silu(self.norm(x)), self.kind))
        return self.skip(resample(x, self.kind)) + h


class Attention(nn.Module):
    """Self-attention over the pixels of a feature map, one head, residual."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = group_norm(channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = zeroed(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        q, k, v = self.qkv(self.norm(x)).flatten(2).transpose(1, 2).chunk(3, dim=2)
        h = functional.scaled_dot_product_attention(q, k, v)
        return x + self.out(h.transpose(1, 2).reshape(x.shape))
