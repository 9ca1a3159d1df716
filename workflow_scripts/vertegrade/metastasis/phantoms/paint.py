"""Lesions drawn into a rendered phantom, and what is true of the voxels that were drawn.

The map of lesions has a code of bits for each voxel: 1 lytic, 2 blastic, and in the posterior elements also 4 (the
patient's left) or 8 (right). Only bone counts: soft tissue of a lesion beyond the cortex is drawn and has no code.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vertegrade.arrays import Floats32
from vertegrade.metastasis.phantoms.lesions import Lesion
from vertegrade.phantom.anatomy.grid import Box, Grid
from vertegrade.phantom.anatomy.person import Patient, Vertebra

LYTIC, BLASTIC, LEFT, RIGHT = 1, 2, 4, 8
LAMINA_MM = 6.0  # nearer to the midline are the laminae and the spinous process, which do not count as posterolateral
BEHIND_MM = 1.0  # where the posterior elements begin, behind the posterior wall
BEYOND_MM = 6.0  # how far a lytic lesion grows out of the bone that it broke
LEFT_OVER = 0.12  # share of the trabecular pattern that a lytic lesion leaves

Codes = NDArray[np.uint8]


def paint_lesions(
    hu: Floats32, mask: NDArray[np.uint8], grid: Grid, patient: Patient, lesions: Mapping[int, tuple[Lesion, ...]]
) -> Codes:
    """Draw lesions (by VerSe label) into hu (float32 [i, j, k] of `render`, changed); return their codes [i, j, k]."""
    codes = np.zeros(mask.shape, np.uint8)
    for vertebra in patient.vertebrae:
        if vertebra.label in lesions:
            box = vertebra_box(grid, vertebra)
            if box is not None:
                _paint(hu[box], mask[box], codes[box], grid, box, vertebra, lesions[vertebra.label])
    return codes


def vertebra_box(grid: Grid, vertebra: Vertebra) -> Box | None:
    """The voxels around a vertebra's body and processes; None where the grid has none of them."""
    ends = vertebra.rods[:, :6].reshape(-1, 3).astype(float)
    wide, deep = vertebra.body.half_width, vertebra.body.half_depth
    body = np.array([[x, y, z] for x in (-wide, wide) for y in (-deep, deep) for z in (-20.0, 20.0)])
    return grid.box(vertebra.pose.world(np.concatenate([ends, body])), 8.0)


def _paint(
    hu: Floats32,
    mask: NDArray[np.uint8],
    codes: Codes,
    grid: Grid,
    box: Box,
    vertebra: Vertebra,
    lesions: tuple[Lesion, ...],
) -> None:
    """Draw the lesions of one vertebra into views of its box."""
    bone = mask == vertebra.label
    if not bone.any():
        return
    depth = ndimage.distance_transform_edt(bone, grid.spacing).astype(np.float32)
    local = grid.local(box, vertebra.pose)
    region = posterolateral(vertebra, local)
    voxel = np.float32(np.cbrt(grid.spacing.prod()))
    shell = np.float32(vertebra.material.cortex_mm) + voxel  # a voxel of the surface is half bone
    for lesion in lesions:
        haze = max(np.float32(lesion.haze_mm), voxel)
        share = (0.5 - lesion.distance(local) / haze).clip(0, 1)
        within = share * bone if lesion.breaks else share * ((depth - shell) / voxel + 0.5).clip(0, 1) * bone
        left = np.float32(0.3 if lesion.blastic else LEFT_OVER)
        filling = np.float32(lesion.hu) + left * (hu - np.float32(vertebra.material.trabecular_hu))
        hu += within * (filling - hu)
        if lesion.breaks:
            outside = ndimage.distance_transform_edt(~bone, grid.spacing).astype(np.float32)
            growth = share * (mask == 0) * (0.5 - (outside - BEYOND_MM) / voxel).clip(0, 1)
            hu += growth * (np.float32(lesion.hu) - hu)
        drawn = within > 0.5
        codes[drawn] = np.uint8(BLASTIC if lesion.blastic else LYTIC) | region[drawn]


def posterolateral(vertebra: Vertebra, local: tuple[Floats32, Floats32, Floats32]) -> Codes:
    """LEFT or RIGHT where local points lie at pedicles, joints or transverse processes, else 0.

    These are the posterolateral elements of the SINS (Fisher 2010, Spine 35:E1221).
    """
    right, anterior, _ = local
    behind = anterior < -0.91 * vertebra.body.half_depth - BEHIND_MM
    return np.asarray(
        np.where(behind & (right > LAMINA_MM), RIGHT, np.where(behind & (right < -LAMINA_MM), LEFT, 0)), np.uint8
    )


def truth_of(codes: Codes, mask: NDArray[np.uint8], label: int, spacing: NDArray[np.float64]) -> dict[str, Any]:
    """What was drawn into a vertebra: volumes (mm3) of lesions, and of their parts left and right behind the body.

    codes, mask: [i, j, k] of the grid on which lesions were drawn, or a box of it. cortex_mm2: about the area of bone
    surface that lytic lesions took.
    """
    bone = mask == label
    own = codes[bone]
    voxel = float(np.prod(spacing))
    volumes = {
        f"{name}_mm3": voxel * float(np.count_nonzero(own & bit))
        for name, bit in (("lytic", LYTIC), ("blastic", BLASTIC), ("left", LEFT), ("right", RIGHT))
    }
    surface = bone & ~ndimage.binary_erosion(bone)
    broken = np.count_nonzero(codes[surface] & LYTIC)
    return volumes | {"bone_mm3": voxel * len(own), "cortex_mm2": float(broken * np.cbrt(voxel) ** 2)}
