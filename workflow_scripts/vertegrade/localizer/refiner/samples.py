"""Flat sagittal looks at single vertebrae of scans, kept on disk, and random views of them for training."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from vertegrade.ct.volume import Volume
from vertegrade.localizer.image_augmentation import affine, moved, varied
from vertegrade.localizer.refiner.look import LOOK, body_axes, body_frames
from vertegrade.spine.crop import sample_crop
from vertegrade.spine.straighten import mm_to_crop
from vertegrade.tables import points_of

WIDE = LOOK.model_copy(update={"size": 96})  # views are drawn from it


@dataclass(frozen=True, eq=False)
class LookSamples:
    """Looks at the vertebrae of a scan: pixels int16 (n, S, 96, 96), points (n, 6, 3) as (slice, row, column)."""

    pixels: np.ndarray
    points: np.ndarray


def look_samples(volume: Volume, truth: pd.DataFrame, rng: np.random.Generator) -> LookSamples:
    """One look at each vertebra that lies completely in the scan, its plane a little wrong as a detector's might be."""
    pixels, found = [], []
    for points in points_of(truth[truth["complete"]]):
        if not np.isfinite(points).all():
            continue
        centre, down, left = body_axes(points)
        left = left + rng.normal(0, np.radians(6), 3)
        down = down + rng.normal(0, np.radians(4), 3)
        frames = body_frames(centre + np.clip(rng.normal(0, 2.0), -5, 5) * left, down, left, WIDE)
        pixels.append(sample_crop(volume, frames, WIDE)[0])
        found.append(mm_to_crop(points, frames, pixels[-1].shape, WIDE.pixel_mm, WIDE.slice_spacing_mm))
    shape = (WIDE.slices, WIDE.size, WIDE.size)
    return LookSamples(np.array(pixels, np.int16).reshape(-1, *shape), np.array(found, np.float32).reshape(-1, 6, 3))


def look_view(pixels: np.ndarray, points: np.ndarray, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A look turned, moved, zoomed and varied at random: image (S, 64, 64) in -1..1, points (6, 3) in mm.

    Points are (lateral to the left, row, column) in mm of the view from its middle.
    """
    turn, zoom, slope = rng.normal(0, np.radians(6)), np.exp(rng.uniform(-0.18, 0.18)), np.exp(rng.uniform(-0.1, 0.1))
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = rotation @ np.diag([slope / zoom, 1 / slope / zoom]) @ np.array([[1, rng.uniform(-0.08, 0.08)], [0, 1]])
    middle = (WIDE.size - 1) / 2 + rng.normal(0, 2.2, 2).clip(-6, 6) / LOOK.pixel_mm
    size = (LOOK.size, LOOK.size)
    image = varied(affine(torch.from_numpy(pixels.astype(np.float32)), matrix, middle, *size), rng)
    there = moved(points.astype(np.float64), matrix, middle, *size)
    there = (there - (np.array([LOOK.slices, *size]) - 1) / 2) * [LOOK.slice_spacing_mm, LOOK.pixel_mm, LOOK.pixel_mm]
    if rng.random() < 0.5:
        image, there[:, 0] = image.flip(0), -there[:, 0]
    return image, torch.from_numpy(there.astype(np.float32))


def refiner_batch(looks: LookSamples, size: int, seed: int, step: int) -> tuple[Tensor, Tensor]:
    """Images (B, S, 64, 64) and points (B, 6, 3) in mm of a training step; follows from (seed, step)."""
    rng = np.random.default_rng([seed, step])
    views = [look_view(looks.pixels[n], looks.points[n], rng) for n in rng.integers(0, len(looks.pixels), size)]
    return torch.stack([image for image, _ in views]), torch.stack([points for _, points in views])
