"""Clefts of virtual fractures: gas or fluid that is painted into collapsed bodies."""

from itertools import product

import numpy as np
from numpy.typing import NDArray

from vertegrade.arrays import Floats, Floats32
from vertegrade.ct.volume import mm_to_voxel, voxel_to_mm
from vertegrade.fractures.collapse import Cleft, cleft_distance
from vertegrade.virtual_fractures.body import INFERIOR, SUPERIOR
from vertegrade.virtual_fractures.collapse import Collapse
from vertegrade.virtual_fractures.spine import Link

PART_MM = 0.5  # a slice is the mean of parts at most as thick as this


def paint_clefts(hu: NDArray[np.int16], affine: Floats, chain: list[Link]) -> None:
    """Paint the clefts of a chain into the HU (I, J, K) of a scan that it lies in; affine: voxels to RAS mm.

    A voxel that a cleft fills in part has the mean of its HU and the cleft's.
    """
    for link in chain:
        if link.collapse is not None and link.collapse.fracture.cleft is not None:
            _paint(hu, affine, link.pose, link.collapse, link.collapse.fracture.cleft)


def _paint(hu: NDArray[np.int16], affine: Floats, pose: Floats, collapse: Collapse, cleft: Cleft) -> None:
    box = _box(hu.shape, affine, pose, collapse, cleft)
    grid = np.mgrid[box].reshape(3, -1).T.astype(np.float32)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    thick = int(spacing.argmax())  # along the slices
    parts = int(np.ceil(spacing[thick] / PART_MM))
    share = np.zeros(len(grid), np.float32)
    for aside in (np.arange(parts) + 0.5) / parts - 0.5:
        places = voxel_to_mm(affine, grid + aside * np.eye(3)[thick])
        local = np.asarray((places - pose[:3, 3]) @ pose[:3, :3], np.float32)
        share += (0.5 - _distance(collapse, cleft, *local.T) / spacing.min()).clip(0, 1) / parts
    part = hu[box]
    painted = part + share.reshape(part.shape) * (cleft.hu - part)
    hu[box] = np.rint(painted).astype(np.int16)


def _box(
    shape: tuple[int, ...], affine: Floats, pose: Floats, collapse: Collapse, cleft: Cleft
) -> tuple[slice, slice, slice]:
    """Voxels around a cleft."""
    low = [cleft.right - cleft.half_width, cleft.anterior + collapse.body.middle - cleft.half_depth]
    high = [cleft.right + cleft.half_width, cleft.anterior + collapse.body.middle + cleft.half_depth]
    ends = collapse.ends[INFERIOR].min(), collapse.ends[SUPERIOR].max()
    corners = np.array(list(product(*zip([*low, ends[0]], [*high, ends[1]], strict=True))))
    voxels = mm_to_voxel(affine, corners @ pose[:3, :3].T + pose[:3, 3])
    first = np.floor(voxels.min(axis=0)).astype(int).clip(0, shape)
    last = (np.ceil(voxels.max(axis=0)).astype(int) + 1).clip(0, shape)
    i, j, k = (slice(int(a), int(b)) for a, b in zip(first, last, strict=True))
    return i, j, k


def _distance(collapse: Collapse, cleft: Cleft, right: Floats32, anterior: Floats32, superior: Floats32) -> Floats32:
    """`cleft_distance` at places in the body's axes; clefts are drawn around the body's middle."""
    top, bottom = (collapse.new_surface(end, right, anterior) for end in (SUPERIOR, INFERIOR))
    ahead = anterior - np.float32(collapse.body.middle)
    return cleft_distance(cleft, right, ahead, superior, top, bottom)
