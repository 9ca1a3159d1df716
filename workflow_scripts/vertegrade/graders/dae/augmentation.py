"""Random changes of a batch of crops, drawn and applied for the whole batch at once."""

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional

from vertegrade.settings.dae import AugmentSettings

BLUR_REACH = 8  # pixels on either side that a blur takes together


def augmented(hu: Tensor, settings: AugmentSettings, generator: Generator) -> tuple[Tensor, Tensor]:
    """What the decoder should draw and what the encoder sees of crops, float HU (B, S, H, W) each.

    Both have the same change of shape, mirroring and grey values; only the encoder sees pose and noise. A decoder that
    had to draw the pose would make z_sem contain it, and shape only as seen from each pose. With it, a linear probe of
    z_sem found anterior heights to 2.2 mm, without to 1.4 mm (docs/results/dae-experiments.md). One draw for all slices
    of a crop. generator: of the device of the crops, where all numbers are drawn, so that no step waits for a copy.
    """
    count, _, height, width = hu.shape
    device = hu.device
    warp = _elastic(count, height, width, settings.elastic_px, generator, device)
    pose = _pose(count, list(hu.shape), settings, generator, device)
    unturned = torch.eye(2, 3, device=device).expand(count, 2, 3)
    straight = functional.affine_grid(unturned, list(hu.shape), align_corners=False)
    drawn = _sampled(hu, straight + warp)
    # The pose acts on the warped crop, in one interpolation: two would blur what the encoder sees.
    seen = _sampled(hu, pose + _sampled(warp.permute(0, 3, 1, 2), pose).permute(0, 2, 3, 1))
    mirrored = torch.rand((count, 1, 1, 1), generator=generator, device=device) < 0.5 * settings.mirror
    gain = 1 + _uniform((count, 1, 1, 1), settings.gain, generator, device)
    offset = _uniform((count, 1, 1, 1), settings.offset_hu, generator, device)
    drawn, seen = (torch.where(mirrored, image.flip(1), image) * gain + offset for image in (drawn, seen))
    noise = torch.randn(hu.shape, generator=generator, device=device)
    return drawn, _scanned_anew(seen + settings.noise_hu * noise, settings, generator)


def _scanned_anew(seen: Tensor, settings: AugmentSettings, generator: Generator) -> Tensor:
    """Crops (B, S, H, W) as other scanners would show them: other slice thickness, kernel, HU scale and level."""
    count, device = len(seen), seen.device
    if settings.thick_px:
        thick = torch.rand(count, generator=generator, device=device) * settings.thick_px
        thick = thick * (torch.rand(count, generator=generator, device=device) < 0.5)
        # The standard deviation of a box is its width over the root of 12.
        seen = _blurred(seen, thick / math.sqrt(12), torch.zeros(count, device=device))
    if settings.kernel:
        pixel = torch.ones(count, device=device)
        fine = seen - _blurred(seen, pixel, pixel)
        seen = seen + _uniform((count, 1, 1, 1), settings.kernel, generator, device) * fine
    if settings.contrast:
        seen = seen * (1 + _uniform((count, 1, 1, 1), settings.contrast, generator, device))
    if settings.level_hu:
        seen = seen + _uniform((count, 1, 1, 1), settings.level_hu, generator, device)
    return seen


def _blurred(images: Tensor, rows_px: Tensor, columns_px: Tensor) -> Tensor:
    """Images (B, C, H, W) blurred by Gaussians of these standard deviations (B,) along rows and columns."""
    count, channels, height, width = images.shape
    flat = images.reshape(1, count * channels, height, width)
    place = torch.arange(-BLUR_REACH, BLUR_REACH + 1, device=images.device).float()
    for deviation, along in ((rows_px, (-1, 1)), (columns_px, (1, -1))):
        kernel = torch.exp(-0.5 * (place / deviation.clamp(min=1e-3)[:, None]) ** 2)
        kernel = (kernel / kernel.sum(dim=1, keepdim=True)).repeat_interleave(channels, dim=0)
        pad = (0, 0, BLUR_REACH, BLUR_REACH) if along[0] == -1 else (BLUR_REACH, BLUR_REACH, 0, 0)
        padded = functional.pad(flat, pad, mode="replicate")
        flat = functional.conv2d(padded, kernel.view(count * channels, 1, *along), groups=count * channels)
    return flat.view_as(images)


def _uniform(shape: tuple[int, ...], largest: float, generator: Generator, device: torch.device) -> Tensor:
    return (torch.rand(shape, generator=generator, device=device) * 2 - 1) * largest


def _sampled(images: Tensor, grid: Tensor) -> Tensor:
    """Images (B, C, H, W) at the places of an `affine_grid` (B, H, W, 2); outside, their border continues."""
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _pose(
    count: int, shape: list[int], settings: AugmentSettings, generator: Generator, device: torch.device
) -> Tensor:
    """Grids (B, H, W, 2) of random rotations and shifts of images of a shape (B, C, H, W)."""
    angle = _uniform((count,), math.radians(settings.rotate_deg), generator, device)
    shift_x = _uniform((count,), 2 * settings.shift_px / shape[3], generator, device)
    shift_y = _uniform((count,), 2 * settings.shift_px / shape[2], generator, device)
    cos, sin = angle.cos(), angle.sin()
    theta = torch.stack([torch.stack([cos, -sin, shift_x], 1), torch.stack([sin, cos, shift_y], 1)], 1)
    return functional.affine_grid(theta, shape, align_corners=False)


def _elastic(count: int, height: int, width: int, std_px: float, generator: Generator, device: torch.device) -> Tensor:
    """Smooth displacements (B, H, W, 2), x and y in the units of `affine_grid` (Simard et al., ICDAR 2003).

    Normal draws on six nodes per side, a fifth of the crop apart, so that a body can lose height at the front alone.
    Half of the outermost interval lies outside the crop, where cubic interpolation has too few nodes.
    """
    nodes, margin = 6, (height // 6, width // 6)
    scale = torch.stack([torch.full((1, 1), 2 * std_px / side, device=device) for side in (width, height)])
    drawn = torch.randn((count, 2, nodes, nodes), generator=generator, device=device) * scale
    size = (height + 2 * margin[0], width + 2 * margin[1])
    smooth = functional.interpolate(drawn, size=size, mode="bicubic", align_corners=False)
    return smooth[:, :, margin[0] : margin[0] + height, margin[1] : margin[1] + width].permute(0, 2, 3, 1)
