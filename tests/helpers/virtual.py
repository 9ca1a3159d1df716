"""Made-up scans with virtual fractures: VIRTUAL_TRUTH, and what was found in them."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from vertegrade.spine.heights import genant_grade
from vertegrade.tables import CENTRE_COLUMNS, HEIGHTS, LANDMARKS, POINT_COLUMNS, VIRTUAL_TRUTH, check_table

HEIGHT_MM = 25.0


def truth_of(
    bodies: Sequence[Mapping[str, Any]], patient_id: str = "p0", source: str = "s0", copy: int = 1
) -> pd.DataFrame:
    """VIRTUAL_TRUTH of one virtual scan: bodies 30 mm apart, 25 mm high, the anterior height lost where `height_loss`.

    bodies: `vertebra`, `kind`, and what else differs from an intact one.
    """
    rows = []
    for body in bodies:
        loss = body.get("height_loss", 0.0)
        row: dict[str, Any] = {"height_loss": 0.0, "shape": "", "intact": True, "genant_grade": genant_grade(loss)}
        row |= {f"{kind}height_{column}_mm": HEIGHT_MM for kind in ("", "healthy_") for column in HEIGHTS}
        row |= dict.fromkeys([*CENTRE_COLUMNS, *POINT_COLUMNS], 0.0) | {"centre_z_mm": -30.0 * body["vertebra"]}
        row |= {"height_anterior_mm": HEIGHT_MM * (1 - loss)} | dict(body)
        rows.append(row)
    table = pd.DataFrame(rows).assign(patient_id=patient_id, scan_id=f"{source}-virtual-{copy}", source_scan_id=source)
    return check_table(table[[*VIRTUAL_TRUTH.columns]], VIRTUAL_TRUTH, "truth")


def landmarks_of(truth: pd.DataFrame) -> pd.DataFrame:
    """LANDMARKS of a localizer that found each body where it is."""
    columns = ["patient_id", "scan_id", "vertebra", *CENTRE_COLUMNS, *POINT_COLUMNS]
    table = truth[columns].assign(confidence=1.0, source="learned", evaluable=True, reason="")
    return check_table(table, LANDMARKS, "landmarks")
