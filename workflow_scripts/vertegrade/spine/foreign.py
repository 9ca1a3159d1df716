"""Foreign material in vertebral bodies, VerSe's "x": screws, cement, what a cage or a screw of the disc pushes in.

Such a body is not graded: points and networks take the edge of the material for that of the bone. Its neighbours are
graded. Material differs from bone by one connected piece, inside the body and away from its shell, that is brighter
than spongiosa gets over such a volume.

The limits were set on phantoms (docs/results/localization.md): in healthy bodies not one voxel inside reaches
1,000 HU there, whatever the streaks of metal elsewhere. In 85 bodies of real CT the largest pieces are 15 mm3 above
1,200 HU and 7 mm3 above 1,400 HU, none is above 1,600 HU; a bone island of 6 mm has 110 mm3.
"""

from typing import Any

import numpy as np
import pandas as pd
from scipy import ndimage

from vertegrade.arrays import Floats
from vertegrade.ct.volume import Volume, mm_to_voxel, voxel_to_mm
from vertegrade.tables import CENTRE_COLUMNS, FOREIGN_MATERIAL, POINT_COLUMNS, POINTS

# Inside of a body a piece is foreign from these mm3 on, among voxels of so many HU: cement, and metal that thick slices
# blur. Up to SHELL_MM outside of it, where endplates and calcified vessels are, only what no bone or calcium reaches.
INSIDE_HU_MM3 = ((1200, 150.0), (1400, 60.0), (1600, 20.0))
AROUND_HU_MM3 = ((2000, 30.0),)
SHELL_MM = 3.0
# The middles of the anterior and the posterior height lie this share of a body's depth apart (morphometry.SHARES).
COLUMNS_SHARE = 0.85
WIDTH_SHARE = 0.55  # half the width of the narrowest bodies over their depth
LEAST_MM = 2.0  # half of what is looked at of a crushed body
UNKNOWN_MM = (12.0, 12.0, 8.0)  # half depth, width and height of a body whose points are unknown: less than adults have


def without_foreign(landmarks: pd.DataFrame, volume: Volume) -> pd.DataFrame:
    """Table LANDMARKS of one scan, where bodies with foreign material are not evaluable (`foreign_material`)."""
    foreign = np.array(
        [bool(row["evaluable"]) and holds_foreign(volume, _place(row)) for row in landmarks.to_dict("records")], bool
    )
    return landmarks.assign(
        evaluable=landmarks["evaluable"].to_numpy(bool) & ~foreign,
        reason=np.where(foreign, FOREIGN_MATERIAL, landmarks["reason"].to_numpy(object)),
    )


def _place(row: dict[Any, Any]) -> tuple[Floats, Floats, Floats]:
    """Middle (RAS mm), axes (3, 3; rows posterior, left, down) and half depth, width and height in mm of a body."""
    points = np.array([row[name] for name in POINT_COLUMNS], dtype=float).reshape(len(POINTS), 3)
    if not np.isfinite(points).all():
        centre = np.array([row[name] for name in CENTRE_COLUMNS], dtype=float)
        return centre, np.array([[0.0, -1, 0], [-1, 0, 0], [0, 0, -1]]), np.array(UNKNOWN_MM)
    columns = points[1::2] - points[0::2]
    down = columns.mean(axis=0) / np.linalg.norm(columns.mean(axis=0))
    back = points[4:].mean(axis=0) - points[:2].mean(axis=0)
    back = back - (back @ down) * down
    depth = float(np.linalg.norm(back))
    axes = np.stack([back / depth, np.cross(down, back / depth), down])
    depth /= COLUMNS_SHARE
    half = np.array([depth / 2, WIDTH_SHARE * depth, np.linalg.norm(columns, axis=1).mean() / 2])
    return points.mean(axis=0), axes, half


def holds_foreign(volume: Volume, place: tuple[Floats, Floats, Floats]) -> bool:
    """Whether a piece of foreign material lies in a body, or reaches up to it; place: as `_place` returns it."""
    centre, axes, half = place
    if not np.isfinite(centre).all():
        return False
    box, local = _voxels_near(volume, centre, axes, half + SHELL_MM)
    hu, voxel_mm3 = volume.hu[box], float(np.prod(volume.spacing_mm))
    for reach_mm, limits in ((-SHELL_MM, INSIDE_HU_MM3), (SHELL_MM, AROUND_HU_MM3)):
        # Of a flat body there is one slice to be seen at least, however thick.
        size = np.maximum(np.maximum(half + reach_mm, LEAST_MM), np.abs(axes) @ volume.spacing_mm / 2)
        share = local / size
        inside = (np.hypot(share[..., 0], share[..., 1]) <= 1) & (share[..., 2] <= 1)
        for least_hu, least_mm3 in limits:
            pieces, count = ndimage.label(inside & (hu >= least_hu))
            if count and np.bincount(pieces.ravel())[1:].max() * voxel_mm3 >= least_mm3:
                return True
    return False


def _voxels_near(volume: Volume, centre: Floats, axes: Floats, half: Floats) -> tuple[tuple[slice, ...], Floats]:
    """The box of voxels about a body, and how far (i, j, k, 3) in mm each lies from its middle along its axes."""
    reach = np.abs(axes.T) @ half + volume.spacing_mm
    ends = mm_to_voxel(volume.affine, centre + np.array(np.meshgrid(*[[-1, 1]] * 3)).reshape(3, -1).T * reach)
    low = np.floor(ends.min(axis=0)).astype(int).clip(0, volume.hu.shape)
    high = (np.ceil(ends.max(axis=0)).astype(int) + 1).clip(0, volume.hu.shape)
    grid = np.stack(np.meshgrid(*map(np.arange, low, high), indexing="ij"), axis=-1)
    away = np.abs((voxel_to_mm(volume.affine, grid) - centre) @ axes.T)
    return tuple(slice(*ends) for ends in zip(low, high, strict=True)), away
