"""Volumes whose HU is known everywhere, and vertebrae to cut out of them."""

import numpy as np
import pandas as pd

from vertegrade.ct.volume import Volume
from vertegrade.settings.spine import CropSettings
from vertegrade.tables import LANDMARKS, POINT_COLUMNS, check_table

SETTINGS = CropSettings(pixel_mm=1.0)
OBLIQUE = np.array([[0.8, 0.05, 0.02, -60], [-0.05, 0.8, 0.2, -120], [-0.02, -0.1, 1.5, -460], [0, 0, 0, 1]])


def table_of(centres: np.ndarray, first: int = 8, reasons: dict[int, str] | None = None) -> pd.DataFrame:
    """Table LANDMARKS of successive labels; `reasons` makes some of them not evaluable."""
    reason = [(reasons or {}).get(first + i, "") for i in range(len(centres))]
    table = pd.DataFrame(
        {
            "patient_id": "patient-1",
            "scan_id": "scan-1",
            "vertebra": first + np.arange(len(centres)),
            **dict(zip(("centre_x_mm", "centre_y_mm", "centre_z_mm"), centres.T, strict=True)),
            **dict.fromkeys(POINT_COLUMNS, np.nan),
            "confidence": 1.0,
            "source": "centroids",
            "evaluable": [not text for text in reason],
            "reason": reason,
        }
    )
    return check_table(table, LANDMARKS, "test")


def ramp(shape: tuple[int, int, int], affine: np.ndarray) -> Volume:
    """A volume whose HU is linear in its voxels, so that every interpolation and every mean is known."""
    i, j, k = np.ogrid[tuple(slice(n) for n in shape)]
    return Volume((5 * i - 4 * j + 3 * k).astype(np.int16), affine)
