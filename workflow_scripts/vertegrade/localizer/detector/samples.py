"""Straightened images of scans with known vertebrae, kept on disk, and random views of them for training."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from vertegrade.ct.volume import Volume
from vertegrade.localizer.detector.network import NETWORK_LEVELS
from vertegrade.localizer.image_augmentation import affine, moved, varied
from vertegrade.localizer.straight_image import GEOMETRY, MARGIN_MM, straight_image
from vertegrade.spine.centreline import Centreline, fit_centreline
from vertegrade.tables import POINTS, centres_of, points_of

WIDE = GEOMETRY.model_copy(update={"size": 144})  # room for shifts and zooms
ROWS = 320
MOST = 32  # vertebrae in a view
# Columns of the table of a view: see `view`.
PRESENT, ROW, COLUMN, LATERAL, LEVEL, KNOWN, KEYPOINTS = 0, 1, 2, 3, 4, 5, 6
WIDTH = KEYPOINTS + 2 * len(POINTS)


@dataclass(frozen=True, eq=False)
class SpineSample:
    """A straightened scan and what is true of it, in (slice, row, column) of the image.

    pixels int16 (S, H, W); inside bool (H, W); centres (n, 3); points (n, 6, 3), NaN where unknown; labels (n,) VerSe.
    """

    pixels: np.ndarray
    inside: np.ndarray
    centres: np.ndarray
    points: np.ndarray
    labels: np.ndarray


def spine_sample(volume: Volume, truth: pd.DataFrame, rng: np.random.Generator) -> SpineSample:
    """The scan straightened along a line that strays from the true centres as a found one might."""
    centres = centres_of(truth)
    line = strayed_line(centres, rng)
    start, end = rng.uniform(-22, -4), line.arcs[-1] + rng.uniform(4, 26)
    image = straight_image(volume, line, start - MARGIN_MM, end + MARGIN_MM, WIDE)
    points = np.concatenate([centres[:, None], points_of(truth)], axis=1)
    known = np.isfinite(points).all(axis=2)
    found = np.full(points.shape, np.nan)
    found[known] = image.to_pixels(points[known])
    return SpineSample(
        image.pixels,
        image.inside,
        found[:, 0].astype(np.float32),
        found[:, 1:].astype(np.float32),
        truth["vertebra"].to_numpy(np.int64),
    )


def strayed_line(centres_mm: np.ndarray, rng: np.random.Generator) -> Centreline:
    """A centreline through body centres (n, 3) moved smoothly sidewards and in depth by up to about 5 mm."""
    depth = -centres_mm[:, 2]
    knots = np.arange(depth.min() - 60, depth.max() + 61, 40.0)
    size = rng.uniform(0, 3)
    moved_mm = np.stack(
        [np.interp(depth, knots, size * rng.standard_normal(len(knots)) + rng.normal(0, 1)) for _ in range(2)], 1
    ).clip(-6, 6)
    return fit_centreline(centres_mm + np.pad(moved_mm, ((0, 0), (0, 1))), rng.uniform(20, 100))


def view(sample: SpineSample, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A random piece of a sample, varied in shape and brightness: image (S + 1, ROWS, 96) and table (MOST, WIDTH).

    The image's last channel says what lies in the scan. A row of the table: present; row, column of the centre (pixels)
    and lateral mm to the left of the middle slice; index into NETWORK_LEVELS; six points known; their rows and
    columns.
    """
    height, width = sample.inside.shape
    zoom = np.exp(rng.uniform(-0.16, 0.16))
    slope = np.exp(rng.uniform(-0.08, 0.08))
    matrix = np.array([[slope / zoom, rng.uniform(-0.12, 0.12)], [rng.uniform(-0.03, 0.03), 1 / slope / zoom]])
    half = ROWS * matrix[0, 0] / 2
    reach = (height - 1) / 2 - half
    middle = np.array(
        [(height - 1) / 2 + (rng.uniform(-reach, reach) if reach > 0 else 0), (width - 1) / 2 + rng.uniform(-8, 8)]
    )
    size = (ROWS, GEOMETRY.size)
    stack = torch.from_numpy(np.concatenate([sample.pixels, sample.inside[None]]).astype(np.float32))
    seen = affine(stack, matrix, middle, *size)
    # Nobody knows whether the scan continues beyond the sample's ends: it looks as if it ended.
    rows = middle[0] + matrix[0, 0] * (np.arange(ROWS) - (ROWS - 1) / 2)
    beyond = torch.from_numpy((rows < 0) | (rows > height - 1))
    inside = torch.where(beyond[:, None], 0.0, seen[-1])
    hu = torch.where(beyond[:, None], -1024.0, seen[:-1])
    image = torch.cat([varied(hu, rng), inside[None]])
    table = _table(sample, matrix, middle, size)
    if rng.random() < 0.5:
        image = torch.cat([image[:-1].flip(0), image[-1:]])
        table[:, LATERAL] *= -1
    return image, torch.from_numpy(table)


def _table(sample: SpineSample, matrix: np.ndarray, middle: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    centres = moved(sample.centres.astype(np.float64), matrix, middle, *size)
    points = moved(sample.points.astype(np.float64), matrix, middle, *size)
    shown = np.flatnonzero((centres[:, 1] > -8) & (centres[:, 1] < ROWS + 8))[:MOST]
    table = np.zeros((MOST, WIDTH), np.float32)
    slices = len(sample.pixels)
    for k, n in enumerate(shown):
        known = bool(np.isfinite(points[n]).all())
        table[k, :KEYPOINTS] = (
            1,
            centres[n, 1],
            centres[n, 2],
            (centres[n, 0] - (slices - 1) / 2) * GEOMETRY.slice_spacing_mm,
            NETWORK_LEVELS.index(int(sample.labels[n])) if sample.labels[n] in NETWORK_LEVELS else -1,
            known,
        )
        if known:
            table[k, KEYPOINTS:] = points[n, :, 1:].ravel()
    return table


def detector_batch(samples: list[SpineSample], size: int, seed: int, step: int) -> tuple[Tensor, Tensor]:
    """Images (B, S + 1, ROWS, 96) and tables (B, MOST, WIDTH) of a training step; follows from (seed, step)."""
    rng = np.random.default_rng([seed, step])
    views = [view(samples[n], rng) for n in rng.integers(0, len(samples), size)]
    return torch.stack([image for image, _ in views]), torch.stack([table for _, table in views])
