"""Where a scan's endplates end: all points of a scan moved outward by one length, read from its own brightness.

Masks, and people, end a body at the outer side of the bright endplate. Its distance from the networks' points depends
on the patient and the scanner (thickness of the endplates, sharpness), and is alike for all bodies of a scan. The
profile of one endplate alone is too noisy: on phantoms it doubles the error of 1 - min/max.
"""

import numpy as np
from scipy import ndimage

from vertegrade.ct.volume import Volume, mm_to_voxel
from vertegrade.localizer.refiner.look import body_axes

PROFILE_MM = np.arange(-3.0, 5.01, 0.25)  # along a column, outward of its end
LEFT_MM, BACK_MM = np.arange(-4.0, 4.1, 2.0), np.arange(-1.0, 1.1, 1.0)  # over which a profile is the mean
PEAK_MM = (-2.0, 1.5)  # the endplate's brightest place is looked for here
FALL_MM = 3.5  # from there to the disc
LEAST_FALL_HU = 80.0
LEAST_ENDS = 12  # of columns with a clear edge, two bodies' worth
# Median of the outward distance to the half maximum on phantoms, whose points are right: the blur of scan and profile.
ON_PHANTOMS_MM = 0.3
LARGEST_MM = 1.0
WEIGHT = 0.5  # the networks are right on phantoms, the edge is nearer to masks of real CT: the mean of the two
OTHER_END = [1, 0, 3, 2, 5, 4]  # of the same column, in the order of tables.POINTS


def at_outer_edge(volume: Volume, points_mm: np.ndarray) -> np.ndarray:
    """Six points (m, 6, 3), RAS mm, of a scan's bodies, moved along their columns towards the endplates' outer edge."""
    outward = _outward(points_mm)
    found = edge_mm(volume, points_mm)
    if np.isfinite(found).sum() < LEAST_ENDS:
        return points_mm
    shift = np.clip(np.nanmedian(found) - ON_PHANTOMS_MM, -LARGEST_MM, LARGEST_MM)
    return points_mm + WEIGHT * shift * outward


def edge_mm(volume: Volume, points_mm: np.ndarray) -> np.ndarray:
    """How far outward (mm) of each point (m, 6, 3) the brightness falls to half between endplate and disc, (m, 6).

    NaN where it falls by less than LEAST_FALL_HU.
    """
    outward = _outward(points_mm)
    edges = np.full(points_mm.shape[:2], np.nan)
    for body, points in enumerate(points_mm):
        _, down, left = body_axes(points)
        around = LEFT_MM[:, None, None] * left + BACK_MM[:, None] * np.cross(left, down)
        places = points[:, None, None, None] + PROFILE_MM[:, None, None, None] * outward[body][:, None, None, None]
        voxels = np.moveaxis(mm_to_voxel(volume.affine, places + around), -1, 0)
        hu = ndimage.map_coordinates(volume.hu, voxels, order=1, output=np.float32, mode="nearest")
        edges[body] = [_half_maximum(profile) for profile in hu.mean(axis=(2, 3))]
    return edges


def _outward(points_mm: np.ndarray) -> np.ndarray:
    """Unit vectors (m, 6, 3) along the columns, away from the body."""
    outward: np.ndarray = points_mm - points_mm[:, OTHER_END]
    return outward / np.linalg.norm(outward, axis=-1, keepdims=True)


def _half_maximum(profile: np.ndarray) -> float:
    """Place (mm) on PROFILE_MM where a profile falls to half between its peak near 0 and what lies beyond; or NaN."""
    near = np.flatnonzero(np.abs(PROFILE_MM - np.mean(PEAK_MM)) <= np.ptp(PEAK_MM) / 2)
    step = float(PROFILE_MM[1] - PROFILE_MM[0])
    peak = int(near[profile[near].argmax()])
    beyond = profile[peak : peak + int(FALL_MM / step)]
    if beyond[0] - beyond.min() < LEAST_FALL_HU:
        return float("nan")
    half = (beyond[0] + beyond.min()) / 2
    below = int(np.argmax(beyond < half))
    part = (beyond[below - 1] - half) / (beyond[below - 1] - beyond[below])
    return float(PROFILE_MM[peak] + step * (below - 1 + part))
