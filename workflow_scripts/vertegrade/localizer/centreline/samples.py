"""Training samples of the centreline's network: scans at low resolution, kept on disk, varied when drawn."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from scipy.interpolate import CubicSpline
from torch import Tensor

from vertegrade.ct.volume import Volume
from vertegrade.levels import LABEL_OF, SACRUM, craniocaudal_rank
from vertegrade.localizer.centreline.augmentation import random_hu, random_pose
from vertegrade.localizer.centreline.low_resolution import low_resolution
from vertegrade.localizer.centreline.network import CELL_MM, cell_centres_mm, windowed

TOPMOST = LABEL_OF["C3"]
# Cells (8 mm) of a training crop along x, y and z; multiples of 4, as the network halves twice.
SIDES = (16, 20, 24, 28, 32, 40, 48)
LENGTHS = (16, 24, 32, 40, 56)
CELLS_A_STEP = 64_000
UNKNOWN_BELOW_MM = 12.0
NEAR_EDGE_MM = 16.0


@dataclass(frozen=True)
class CentrelineSample:
    """A scan at low resolution and the bodies in it, head to feet.

    hu: int16 (x, y, z). origin_mm: RAS mm of its first voxel. labels: (n,). centres_mm: (n, 3).
    ends_mm: (n, 2, 3), middle of the superior and of the inferior endplate; NaN where unknown.
    """

    hu: np.ndarray
    origin_mm: np.ndarray
    labels: np.ndarray
    centres_mm: np.ndarray
    ends_mm: np.ndarray


def centreline_sample(volume: Volume, truth: pd.DataFrame) -> CentrelineSample:
    """The sample of a scan and its bodies (`training_scan`'s table, or `own_scans.own_scan`'s)."""
    small = low_resolution(volume)
    truth = truth.iloc[np.argsort([craniocaudal_rank(label) for label in truth["vertebra"]])]
    ends = [_points(truth, f"middle_{end}") for end in ("superior", "inferior")]
    return CentrelineSample(
        small.hu, small.origin_mm, truth["vertebra"].to_numpy(), _points(truth, "centre"), np.stack(ends, axis=1)
    )


def _points(truth: pd.DataFrame, name: str) -> np.ndarray:
    return truth[[f"{name}_{axis}_mm" for axis in "xyz"]].to_numpy(float)


def centreline_batches(samples: list[CentrelineSample], seed: int) -> Callable[[int], tuple[Tensor, ...]]:
    """`batch` for `train_network`: step k -> image, positions, exists, known (see `centreline_loss`)."""

    def batch(step: int) -> tuple[Tensor, ...]:
        rng = np.random.default_rng([seed, step])
        cells = (int(rng.choice(SIDES)), int(rng.choice(SIDES)), int(rng.choice(LENGTHS)))
        count = max(1, CELLS_A_STEP // int(np.prod(cells)))
        drawn = [_draw(samples[rng.integers(len(samples))], cells, rng) for _ in range(count)]
        return tuple(torch.stack(parts) for parts in zip(*drawn, strict=True))

    return batch


def _draw(
    sample: CentrelineSample, cells: tuple[int, int, int], rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """One varied crop: image (1, X, Y, Z); per slice of cells positions (2), exists, known (2) of `centreline_loss`."""
    sides = np.array(cells)
    pose = random_pose(sample.hu.shape, sample.centres_mm - sample.origin_mm, sides, rng)
    image = windowed(random_hu(pose.resampled(sample.hu), rng))[None]
    centres, ends = (pose.to_crop(points - sample.origin_mm) for points in (sample.centres_mm, sample.ends_mm))
    heights = cell_centres_mm(cells[2])
    curve = spine_at(centres, heights)
    in_scan = pose.in_scan(np.column_stack([curve, heights]), sample.hu.shape)
    exists, sure = spine_in(sample.labels, ends, heights, in_scan)
    # mm from the curve to the nearest side of the crop, positive inside
    inner = np.minimum(curve, sides[:2] * CELL_MM - curve).min(axis=1)
    sure &= ~exists | (np.abs(inner) > NEAR_EDGE_MM)
    exists &= inner > 0
    known = np.stack([exists & sure, sure], axis=1)
    positions, found, weight = (torch.from_numpy(part.astype(np.float32)) for part in (curve, exists, known))
    return image, positions, found, weight


def spine_at(centres: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """(x, y) of the curve through body centres (n, 3) at heights z (m,), float64 (m, 2); straight beyond both ends."""
    knots = centres[np.argsort(centres[:, 2])]
    knots = knots[np.append(True, np.diff(knots[:, 2]) > 1.0)]
    if len(knots) < 2:
        return np.repeat(knots[:1, :2], len(heights), axis=0)
    spline = CubicSpline(knots[:, 2], knots[:, :2], bc_type="natural")
    within = np.clip(heights, knots[0, 2], knots[-1, 2])
    place: np.ndarray = spline(within) + (heights - within)[:, None] * spline(within, 1)
    return place


def spine_in(
    labels: np.ndarray, ends: np.ndarray, heights: np.ndarray, in_scan: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Whether slices at heights (m,) show the spine's bodies, and whether that is sure; bool (m,) each.

    ends: (n, 2, 3), endplate middles head to feet. From the first body's upper end to the last one's lower end there is
    spine. What lies beyond is the rest of a body that the scan cuts, thus spine too, unless the body is the topmost one
    that phantoms have (unknown) or the sacrum's first (not spine, after a stretch of doubt). Outside the scan: none.
    """
    top, bottom = ends[0, 0, 2], ends[-1, 1, 2]
    exists = in_scan.copy()
    sure = np.ones(len(heights), bool)
    if labels[0] <= TOPMOST:
        sure &= ~(heights >= top) | ~in_scan  # unknown (NaN): own_scans.py cuts the scan there
    if labels[-1] == SACRUM:
        exists &= heights > bottom
        sure &= (heights > bottom) | (heights < bottom - UNKNOWN_BELOW_MM)
    return exists, sure
