"""A CT volume on a coarse grid along the patient's axes: what the centreline's network sees."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from vertegrade.ct.volume import AIR_HU, Volume, mm_to_voxel, voxel_to_mm

GRID_MM = 4.0


@dataclass(frozen=True)
class LowResolution:
    """Mean HU on a coarse grid.

    hu: int16 (x, y, z), axes along RAS; AIR_HU outside the scan. origin_mm: centre of voxel (0, 0, 0), RAS mm.
    """

    hu: np.ndarray
    origin_mm: np.ndarray


def low_resolution(volume: Volume, grid_mm: tuple[float, float, float] = (GRID_MM, GRID_MM, GRID_MM)) -> LowResolution:
    """The whole scan at `grid_mm` along x, y and z.

    Means over blocks of voxels, then linear interpolation (the scan may be oblique).
    """
    grid = np.array(grid_mm)
    factors = np.maximum((grid / volume.spacing_mm + 0.25).astype(int), 1)
    factors = np.minimum(factors, volume.hu.shape)
    blocks = block_means(volume.hu, factors).astype(np.float32)
    # The centre of block 0 lies between the voxels 0 and factor - 1.
    affine = volume.affine @ np.diag([*factors.astype(float), 1.0])
    affine[:3, 3] = voxel_to_mm(volume.affine, (factors - 1) / 2)
    last = np.array(volume.hu.shape) - 1
    corners = np.stack(np.meshgrid(*[(0, n) for n in last], indexing="ij"), axis=-1).reshape(-1, 3)
    corners_mm = voxel_to_mm(volume.affine, corners)
    low, high = corners_mm.min(axis=0), corners_mm.max(axis=0)
    shape = np.maximum(np.ceil((high - low) / grid).astype(int), 1)
    origin = (low + high) / 2 - (shape - 1) / 2 * grid
    inverse = np.linalg.inv(affine[:3, :3])
    offset = mm_to_voxel(affine, origin)
    padded = np.pad(blocks, 1, mode="edge")  # half a block at the borders keeps its value
    hu = ndimage.affine_transform(
        padded, inverse * grid, offset + 1, tuple(shape), order=1, mode="constant", cval=float(AIR_HU)
    )
    return LowResolution(np.rint(hu).astype(np.int16), origin)


def block_means(hu: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Means of blocks of `factors` voxels, float64, slab by slab to save memory; a rest at the far ends is dropped."""
    counts = np.array(hu.shape) // factors
    fi, fj, fk = factors.tolist()
    ni, nj, nk = counts.tolist()
    means = np.empty((ni, nj, nk))
    for k in range(nk):
        slab = hu[: ni * fi, : nj * fj, k * fk : (k + 1) * fk].sum(axis=2, dtype=np.int32)
        means[:, :, k] = slab.reshape(ni, fi, nj, fj).sum(axis=(1, 3)) / factors.prod()
    return means
