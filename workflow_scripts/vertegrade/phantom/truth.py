"""What is true of the vertebrae that a scan shows."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pandera.pandas as pa
from numpy.typing import NDArray

from vertegrade.levels import SACRUM
from vertegrade.phantom.anatomy.grid import Grid
from vertegrade.phantom.anatomy.person import SACRAL, Patient, Vertebra, body_corners
from vertegrade.tables import HEIGHTS, PHANTOM_TRUTH, check_table

# PHANTOM_TRUTH with the sacrum allowed: what networks learn from, not what is graded.
BODIES = PHANTOM_TRUTH.update_column("vertebra", checks=[pa.Check.isin([*range(1, 27), 28])])


def truth_table(
    patient: Patient,
    origin: NDArray[np.float64] | tuple[float, float, float],
    shape: tuple[int, int, int],
    spacing: NDArray[np.float64] | tuple[float, float, float],
    scan_id: str,
) -> pd.DataFrame:
    """One PHANTOM_TRUTH row for each vertebra T1-L5 whose body's centre lies in the grid (arguments as of `render`)."""
    grid = Grid(np.asarray(origin, float), shape, np.asarray(spacing, float))
    return _table([v for v in patient.vertebrae if v.label in patient.levels], patient, grid, scan_id, PHANTOM_TRUTH)


def body_table(
    patient: Patient,
    origin: NDArray[np.float64] | tuple[float, float, float],
    shape: tuple[int, int, int],
    spacing: NDArray[np.float64] | tuple[float, float, float],
    scan_id: str,
) -> pd.DataFrame:
    """As `truth_table`, of all bodies that are drawn: the cervical ones too, and S1 as VerSe's label 26."""
    grid = Grid(np.asarray(origin, float), shape, np.asarray(spacing, float))
    first_sacral = next(v for v in patient.vertebrae if v.label == SACRAL)
    named = [v if v.label else replace(v, label=SACRUM) for v in patient.vertebrae if v.label or v is first_sacral]
    return _table(named, patient, grid, scan_id, BODIES)


def _table(
    vertebrae: list[Vertebra], patient: Patient, grid: Grid, scan_id: str, schema: pa.DataFrameSchema
) -> pd.DataFrame:
    """A row for each of the vertebrae whose body's centre lies in the grid."""
    rows = [
        {"patient_id": patient.patient_id, "scan_id": scan_id, **_row(v, grid)}
        for v in vertebrae
        if grid.holds(_centre(v)[None])
    ]
    return check_table(pd.DataFrame(rows, columns=list(schema.columns)), schema, f"bodies of {scan_id}")


def _centre(vertebra: Vertebra) -> NDArray[np.float64]:
    return vertebra.pose.world(vertebra.body.centre())


def _row(vertebra: Vertebra, grid: Grid) -> dict[str, object]:
    row: dict[str, object] = {
        "vertebra": vertebra.label,
        "genant_grade": vertebra.genant_grade,
        "shape": vertebra.shape,
        "height_loss": vertebra.height_loss,
        "finding": vertebra.finding,
        "complete": grid.holds(body_corners(vertebra)),
    }
    ends = vertebra.pose.world(vertebra.body.column_ends())
    for n, column in enumerate(HEIGHTS):
        row[f"height_{column}_mm"] = float(vertebra.body.heights()[n])
        row[f"healthy_height_{column}_mm"] = float(vertebra.healthy_heights[n])
        for m, end in enumerate(("superior", "inferior")):
            row |= {f"{column}_{end}_{axis}_mm": float(ends[n, m, a]) for a, axis in enumerate("xyz")}
    return row | {f"centre_{axis}_mm": float(_centre(vertebra)[a]) for a, axis in enumerate("xyz")}
