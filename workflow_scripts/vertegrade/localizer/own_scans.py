"""A user's scan with a vertebra mask as training material: bodies and six points are measured on the mask."""

import numpy as np
import pandas as pd

from vertegrade.ct.reasons import Refused
from vertegrade.ct.volume import Volume, mm_to_voxel
from vertegrade.spine.masks import body_centres, read_mask
from vertegrade.spine.morphometry import measure_mask
from vertegrade.tables import POINT_COLUMNS

BEYOND_MM = 4.0
CENTRE_COLUMNS = [f"centre_{axis}_mm" for axis in "xyz"]


def own_scan(volume: Volume, mask: str) -> tuple[Volume, pd.DataFrame]:
    """The slices from the first measured body to the last, and the bodies in them, as the networks' samples need them.

    mask: path of a mask of VerSe labels on the scan's grid. The table has vertebra, centre, six points (NaN where the
    mask cannot be measured) and complete. Beyond the measured bodies a mask may leave vertebrae out, so that nothing
    can be learnt there.
    Refused: masks that `read_mask` and `body_centres` refuse; `mask_unmeasured`: fewer than two bodies can be measured.
    """
    labels = read_mask(mask, volume.hu.shape, volume.affine)
    rows = []
    for label, body in body_centres(labels, volume.affine, mask).items():
        measure = measure_mask(labels, volume.affine, label)
        centre = body.centre_mm if measure.reason else measure.centre_mm
        rows.append(
            {"vertebra": label, "complete": not measure.reason}
            | dict(zip(CENTRE_COLUMNS, centre, strict=True))
            | dict(zip(POINT_COLUMNS, measure.points_mm.ravel(), strict=True))
        )
    table = pd.DataFrame(rows)
    measured = table.loc[table["complete"], POINT_COLUMNS].to_numpy(float).reshape(-1, 3)
    if table["complete"].sum() < 2:
        raise Refused("mask_unmeasured", f"{mask}: fewer than two bodies can be measured; nothing to learn from")
    slices = mm_to_voxel(volume.affine, measured)[:, 2]
    margin = BEYOND_MM / volume.spacing_mm[2]
    first = max(int(np.floor(slices.min() - margin)), 0)
    last = min(int(np.ceil(slices.max() + margin)), volume.hu.shape[2] - 1)
    affine = volume.affine.copy()
    affine[:3, 3] += first * affine[:3, 2]
    shown = Volume(np.ascontiguousarray(volume.hu[:, :, first : last + 1]), affine)
    centres = mm_to_voxel(affine, table[CENTRE_COLUMNS].to_numpy(float))[:, 2]
    inside = (centres > -0.5) & (centres < shown.hu.shape[2] - 0.5)
    return shown, table[inside].reset_index(drop=True)
