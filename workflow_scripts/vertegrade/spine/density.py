"""Attenuation of trabecular bone: the mean HU of a core of the body, away from cortex, endplates and vein.

The core is an elliptic cylinder in the front half of the body (the basivertebral vein lies behind), half-way between
the endplates (Pickhardt 2013, Ann Intern Med 158:588, measures L1 so by hand). HU are those of the scan: they depend
on kVp and kernel, and are no bone mineral density.
"""

from typing import NamedTuple

import numpy as np

from vertegrade.arrays import Floats
from vertegrade.ct.volume import Volume, mm_to_voxel, voxel_to_mm

SHARES = (0.92, 0.47, 0.07)  # where the heights lie: morphometry.SHARES, without all that measuring masks needs
# Of the core, in shares of the body's depth: its middle from the posterior wall, and half its depth and width.
MIDDLE, HALF_DEPTH, HALF_WIDTH = 0.66, 0.17, 0.27
FROM_ENDPLATE_MM, FROM_ENDPLATE_SHARE = 4.5, 0.27  # of the height; the larger one counts
LEAST_MM3 = 250.0
VOXELS_APART = 8.0  # mm3 that count as one independent sample: grain and noise are correlated
# Error that the spread within the core does not contain; docs/results/measures.md says how well it fits.
FLOOR_HU = 4.0
# Flags of a scan under which HU of bone are not those of bone alone, or not comparable.
FORBIDDING = ("contrast", "metal", "multi_energy", "clipped")


class Attenuation(NamedTuple):
    """Mean HU of the core with its error; NaN where reason is not "": a flag of FORBIDDING, `too_flat`, `no_points`."""

    hu: float
    error_hu: float
    reason: str


def trabecular_attenuation(volume: Volume, points: Floats, flags: str) -> Attenuation:
    """Measure one body. points: (6, 3) RAS mm in the order of tables.POINTS. flags: of its scan, joined by blanks."""
    forbidden = [flag for flag in FORBIDDING if flag in flags.split()]
    if forbidden:
        return Attenuation(np.nan, np.nan, forbidden[0])
    if not np.isfinite(points).all():
        return Attenuation(np.nan, np.nan, "no_points")
    values = core_values(volume, points)
    voxel_mm3 = float(np.prod(volume.spacing_mm))
    if len(values) * voxel_mm3 < LEAST_MM3:
        return Attenuation(np.nan, np.nan, "too_flat")
    samples = max(len(values) * voxel_mm3 / max(VOXELS_APART, voxel_mm3), 1.0)
    return Attenuation(float(values.mean()), float(np.hypot(values.std() / np.sqrt(samples), FLOOR_HU)), "")


def core_values(volume: Volume, points: Floats) -> np.ndarray:
    """HU of the voxels whose centres lie in the core, (n,)."""
    middle, axes, half = core_of(points)
    reach = float(np.linalg.norm(half)) + volume.spacing_mm.max()
    ends = mm_to_voxel(volume.affine, middle + np.array(np.meshgrid(*[[-1, 1]] * 3)).reshape(3, -1).T * reach)
    low = np.floor(ends.min(axis=0)).astype(int).clip(0, volume.hu.shape)
    high = (np.ceil(ends.max(axis=0)).astype(int) + 1).clip(0, volume.hu.shape)
    grid = np.stack(np.meshgrid(*map(np.arange, low, high), indexing="ij"), axis=-1)
    box = tuple(slice(*ends) for ends in zip(low, high, strict=True))
    inside = in_core((voxel_to_mm(volume.affine, grid) - middle) @ axes.T, half)
    return np.asarray(volume.hu[box])[inside]


def core_of(points: Floats) -> tuple[Floats, Floats, Floats]:
    """Middle of the core (RAS mm), axes (3, 3; rows right, anterior, superior), half width, depth and height (mm).

    The height is what is left between the endplates, and may be negative: then no voxel lies in it.
    """
    upper, lower = points[0::2], points[1::2]
    superior = (upper - lower).mean(axis=0)
    superior /= np.linalg.norm(superior)
    ends = (upper + lower) / 2
    anterior = ends[0] - ends[2]
    anterior -= (anterior @ superior) * superior
    span = float(np.linalg.norm(anterior))
    anterior /= span
    depth = span / (SHARES[0] - SHARES[2])
    place = ends[2] + (MIDDLE - SHARES[2]) * depth * anterior
    share = (MIDDLE - SHARES[1]) / (SHARES[0] - SHARES[1])  # between the middle and the anterior height
    top, bottom = ((1 - share) * points[2 + end] + share * points[end] for end in (0, 1))
    middle = place + (((top + bottom) / 2 - place) @ superior) * superior
    height = float((top - bottom) @ superior)
    free = height / 2 - max(FROM_ENDPLATE_MM, FROM_ENDPLATE_SHARE * height)
    return (
        middle,
        np.stack([np.cross(anterior, superior), anterior, superior]),
        np.array([HALF_WIDTH * depth, HALF_DEPTH * depth, free]),
    )


def in_core(local: Floats, half: Floats) -> np.ndarray:
    """Which places (..., 3; mm right, anterior, superior of the middle) lie in the core."""
    share = (local[..., 0] / half[0]) ** 2 + (local[..., 1] / half[1]) ** 2
    return np.asarray((share <= 1) & (np.abs(local[..., 2]) <= half[2]))
