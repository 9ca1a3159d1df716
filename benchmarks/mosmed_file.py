"""Annotation files in MosMed's layout, made of points that are known in mm."""

import json
from pathlib import Path

import numpy as np

from vertegrade.ct.volume import Volume, mm_to_voxel
from vertegrade.levels import NAMES


def write_mosmed(
    path: Path, volume: Volume, experts: dict[str, dict[int, np.ndarray]], head_first: bool = False
) -> None:
    """Write the file of an axial series that became `volume` (RAS+); experts: name -> VerSe label -> points (6, 3), mm.

    Rows count from the front, columns from the patient's right, slices from the feet as in MosMed, or from the head.
    """
    ni, nj, nk = volume.hu.shape

    def vertebra(label: int, points: np.ndarray) -> dict[str, object]:
        i, j, k = mm_to_voxel(volume.affine, points).T
        voxels = np.stack([nj - 1 - j, ni - 1 - i, nk - 1 - k if head_first else k], axis=1)
        return {"segments": voxels.reshape(3, 2, 3).tolist(), "type": NAMES[label].replace("T", "Th")}

    annotation = {name: [vertebra(*one) for one in readings.items()] for name, readings in experts.items()}
    path.write_text(json.dumps({"SeriesInstanceUID": "1.2.3", "Annotation": annotation}))
