"""Whether a body lies completely in the scan, or the scan cuts it."""

import numpy as np
from scipy.special import ndtr

from vertegrade.ct.volume import OUTSIDE_HU, Volume, in_filling, mm_to_voxel
from vertegrade.localizer.refiner.look import ANTERIOR, POSTERIOR, body_axes
from vertegrade.tables import POINTS

CLEAR_MM, BEYOND_MM = 1.0, 2.0
CLEAR_AT_EDGE_MM = (CLEAR_MM, BEYOND_MM, CLEAR_MM)  # along i, j, k; errors are known along the body's height alone


def complete_probability(volume: Volume, points_mm: np.ndarray, point_sd_mm: np.ndarray) -> float:
    """That a body lies completely in the scan, from its six points (6, 3), RAS mm, and their expected errors (6,), mm.

    A body that the scan cuts has its points put on the edge: a half where a point is as far inside as its error and a
    voxel, CLEAR_AT_EDGE_MM at least. Scans that were turned, cropped or masked end within their grid, in a filling: 0
    where that begins just beyond an endplate, or just before or behind the body.
    """
    _, down, left = body_axes(points_mm)
    back = np.cross(left, down)
    outward = np.where(np.arange(len(POINTS))[:, None] % 2, down, -down)
    voxel_mm = np.abs(np.linalg.inv(volume.affine[:3, :3] / volume.spacing_mm) @ down) @ volume.spacing_mm
    far_mm = point_sd_mm[:, None] + max(voxel_mm, CLEAR_MM)
    last = np.array(volume.hu.shape) - 1
    if any(_padded(volume, points_mm + mm * outward).any() for mm in (BEYOND_MM, far_mm)):
        return 0.0
    across_mm = BEYOND_MM + volume.spacing_mm[1]  # there may be true air here, in the gullet or the lung
    outside = np.concatenate([points_mm[ANTERIOR] - across_mm * back, points_mm[POSTERIOR] + across_mm * back])
    if in_filling(volume.hu, mm_to_voxel(volume.affine, outside)).any():
        return 0.0
    voxels = mm_to_voxel(volume.affine, points_mm)
    room = np.minimum(voxels + 0.5, last + 0.5 - voxels) * volume.spacing_mm
    clear = room - np.maximum(volume.spacing_mm, CLEAR_AT_EDGE_MM) - point_sd_mm[:, None]
    return float(ndtr(clear.min(axis=1) / point_sd_mm).min())


def _padded(volume: Volume, points_mm: np.ndarray) -> np.ndarray:
    """Which of the points (n, 3), RAS mm, lie in what is no tissue, not even gas in a disc."""
    near = np.rint(mm_to_voxel(volume.affine, points_mm)).astype(int).clip(0, np.array(volume.hu.shape) - 1)
    padded: np.ndarray = volume.hu[tuple(near.T)] <= OUTSIDE_HU
    return padded
