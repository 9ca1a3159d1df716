"""The networks of the diffusion autoencoder: semantic encoder and conditional U-Net (Preechakul et al., CVPR 2022).

With the published settings the parameters are the published ones: 90.8 million at 64 px, 128.5 million at 128 px.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from vertegrade.graders.dae.layers import Attention, EncoderBlock, Resample, ResBlock, group_norm, time_features, zeroed
from vertegrade.graders.dae.shapes import check_attention, sides
from vertegrade.settings.dae import DaeModelSettings


class SemanticEncoder(nn.Module):
    """Half a U-Net without time, then global mean: image -> z_sem. No batch statistics, so crops do not mix."""

    def __init__(self, settings: DaeModelSettings, size: int) -> None:
        super().__init__()
        self.unshuffle = settings.encoder_unshuffle
        widths = [settings.encoder_channels * m for m in settings.encoder_multipliers]
        channels = widths[0]
        layers: list[nn.Module] = [nn.Conv2d(settings.image_channels * self.unshuffle**2, channels, 3, padding=1)]
        for level, side in enumerate(sides(size, self.unshuffle, len(widths))):
            if level:
                layers.append(EncoderBlock(channels, channels, "down"))
            for _ in range(settings.blocks):
                layers.append(EncoderBlock(channels, widths[level]))
                channels = widths[level]
                if side in settings.attention_resolutions:
                    layers.append(Attention(channels))
        attend = [Attention(channels)] if settings.attention_resolutions else []
        layers += [EncoderBlock(channels, channels), *attend, EncoderBlock(channels, channels)]
        last = sides(size, self.unshuffle, len(widths))[-1] if settings.encoder_pool == "flatten" else 1
        pool = nn.Identity() if settings.encoder_pool == "flatten" else nn.AdaptiveAvgPool2d(1)
        self.body = nn.Sequential(*layers, group_norm(channels), nn.SiLU(), pool, nn.Flatten())
        self.head = nn.Linear(channels * last**2, settings.z_dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) in [-1, 1] -> z_sem (B, z_dim)."""
        return self.head(self.body(functional.pixel_unshuffle(x, self.unshuffle)))


class Stage(nn.Module):
    """A residual block and, where the feature map has a listed side, self-attention."""

    def __init__(self, block: ResBlock, channels: int, attend: bool) -> None:
        super().__init__()
        self.block = block
        self.attention = Attention(channels) if attend else nn.Identity()

    def forward(self, h: Tensor, time: Tensor, z: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W')."""
        return self.attention(self.block(h, time, z))


class UNet(nn.Module):
    """Conditional U-Net: noisy image, noise level and z_sem -> prediction; AdaGN in every residual block."""

    def __init__(self, settings: DaeModelSettings, size: int) -> None:
        super().__init__()
        self.unshuffle, self.channels = settings.unshuffle, settings.channels
        embedding, z_dim, dropout = settings.embedding, settings.z_dim, settings.dropout
        widths = [settings.channels * m for m in settings.multipliers]
        all_sides = sides(size, self.unshuffle, len(widths))
        pixels = settings.image_channels * self.unshuffle**2

        def block(channels: int, out: int, side: int, kind: Resample = "same") -> ResBlock:
            return ResBlock(channels, out, embedding, z_dim, dropout, side if settings.position else 0, kind)

        def stage(channels: int, out: int, side: int) -> Stage:
            return Stage(block(channels, out, side), out, side in settings.attention_resolutions)

        self.time = nn.Sequential(nn.Linear(self.channels, embedding), nn.SiLU(), nn.Linear(embedding, embedding))
        self.stem = nn.Conv2d(pixels, widths[0], 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        channels = widths[0]
        skips = [channels]
        for level, side in enumerate(all_sides):
            if level:
                self.down.append(block(channels, channels, side, "down"))
                skips.append(channels)
            for _ in range(settings.blocks):
                self.down.append(stage(channels, widths[level], side))
                channels = widths[level]
                skips.append(channels)
        self.middle = nn.ModuleList(
            [
                Stage(block(channels, channels, all_sides[-1]), channels, bool(settings.attention_resolutions)),
                block(channels, channels, all_sides[-1]),
            ]
        )
        for level in reversed(range(len(widths))):
            for _ in range(settings.blocks + 1):
                self.up.append(stage(channels + skips.pop(), widths[level], all_sides[level]))
                channels = widths[level]
            if level:
                self.up.append(block(channels, channels, all_sides[level - 1], "up"))
        # z_sem reaches the image through scales alone only after many steps; this is a short way.
        self.z_map = nn.Linear(z_dim, widths[0] * all_sides[0] ** 2) if settings.z_map else None
        self.out = nn.Sequential(group_norm(channels), nn.SiLU(), zeroed(nn.Conv2d(channels, pixels, 3, padding=1)))

    def forward(self, x: Tensor, t: Tensor, z: Tensor) -> Tensor:
        """Noisy (B, C, H, W), noise levels (B,) of 0..999, z_sem (B, z_dim) -> prediction (B, C, H, W)."""
        time = self.time(time_features(t, self.channels))
        h = self.stem(functional.pixel_unshuffle(x, self.unshuffle))
        if self.z_map is not None:
            h = h + self.z_map(z).view(h.shape)
        skips = [h]
        for block in self.down:
            h = block(h, time, z)
            skips.append(h)
        for block in self.middle:
            h = block(h, time, z)
        for block in self.up:
            if isinstance(block, Stage):
                h = torch.cat([h, skips.pop()], dim=1)
            h = block(h, time, z)
        return functional.pixel_shuffle(self.out(h), self.unshuffle)


class DaeNetwork(nn.Module):
    """Semantic encoder and U-Net for crops of `size` px."""

    def __init__(self, settings: DaeModelSettings, size: int) -> None:
        super().__init__()
        check_attention(settings, size)
        self.encoder = SemanticEncoder(settings, size)
        self.unet = UNet(settings, size)

    def forward(self, x0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """Prediction for the noisy x_t at levels t, conditioned on z_sem of the clean x0."""
        return self.unet(x_t, t, self.encoder(x0))
