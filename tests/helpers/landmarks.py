"""Landmarks of spines whose vertebrae have given heights."""

import numpy as np
import pandas as pd

from vertegrade.levels import LABEL_OF
from vertegrade.spine import indices
from vertegrade.spine.intact_heights import published
from vertegrade.tables import LANDMARKS, POINT_COLUMNS, POINT_SD_COLUMNS

THORACOLUMBAR = [*range(LABEL_OF["T5"], LABEL_OF["L5"] + 1)]


def normal_heights(label: int) -> np.ndarray:
    return published().heights_mm[label]


def measure(table: pd.DataFrame) -> pd.DataFrame:
    """MEASUREMENTS of LANDMARKS by the published heights of intact vertebrae."""
    return indices.measure(table, published())


def landmarks(
    heights: dict[int, np.ndarray], scan: str = "s1", patient: str = "p1", point_sd: float = 0.4, **columns: object
) -> pd.DataFrame:
    """LANDMARKS of a scan whose vertebrae, stacked straight, have these heights (anterior, middle, posterior; mm)."""
    rows = []
    for n, (label, columns_mm) in enumerate(heights.items()):
        ends = [(0.0, -14.0 * c, -35.0 * n + s * h / 2) for c, h in enumerate(columns_mm) for s in (1, -1)]
        row: dict[str, object] = {"patient_id": patient, "scan_id": scan, "vertebra": label}
        row |= {"centre_x_mm": 0.0, "centre_y_mm": -14.0, "centre_z_mm": -35.0 * n}
        row |= dict(zip(POINT_COLUMNS, np.ravel(ends).tolist(), strict=True))
        row |= dict.fromkeys(POINT_SD_COLUMNS, point_sd)
        row |= {"confidence": 1.0, "label_confidence": 1.0, "source": "test", "evaluable": True, "reason": ""}
        rows.append(row | columns)
    return LANDMARKS.validate(pd.DataFrame(rows))
