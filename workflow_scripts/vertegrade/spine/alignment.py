"""Discs, slips and curves of a spine from the six points of its vertebrae: what the points give for free.

A disc's height is the gap between the lower points of one body and the upper ones of the next, along the mean axis of
both, so that a slip does not lengthen it. Cobb angles are those between the upper endplate of the first and the lower
endplate of the last vertebra, seen from the side. The points say nothing of how endplates are tilted to the side, so
a scoliosis is read from the curve through the centres. docs/results/measures.md says how well all agree with the truth
of phantoms.
"""

from typing import Any

import numpy as np
import pandas as pd

from vertegrade.arrays import Floats
from vertegrade.levels import LABEL_OF, craniocaudal_rank
from vertegrade.tables import HEIGHTS, POINT_SD_COLUMNS, centres_of, points_of

# Errors that the points' own standard deviations do not contain; docs/results/measures.md says how well they fit.
DISC_FLOOR_MM, SLIP_MM, ANGLE_FLOOR_DEG, SCOLIOSIS_DEG = 0.5, 0.8, 1.2, 2.5
CURVES = {"kyphosis": ("T4", "T12"), "lordosis": ("L1", "L5")}
SCOLIOSIS_LEAST = 6  # vertebrae in a row
SMOOTHING = 5  # degree of the polynomial through the centres; less with few of them


def neighbours(labels: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of rows (upper, lower) that are next to each other in a spine; T13 and L6 only where they are there."""
    order = sorted(range(len(labels)), key=lambda row: craniocaudal_rank(int(labels[row])))
    ranks = [craniocaudal_rank(int(labels[row])) for row in order]
    return [(a, b) for a, b, low, high in zip(order, order[1:], ranks, ranks[1:], strict=False) if high - low <= 1]


def disc_and_slip(points: Floats, sds: Floats, upper: int, lower: int) -> dict[str, float]:
    """Heights (mm) of the disc between two bodies, and how far the upper one lies ahead of the lower one, with errors.

    points: (N, 6, 3) RAS mm. sds: (N, 6) of the points along their columns; NaN where unknown.
    """
    axes = [_unit((points[row, 0::2] - points[row, 1::2]).mean(axis=0)) for row in (upper, lower)]
    axis = _unit(axes[0] + axes[1])
    gaps = (points[upper, 1::2] - points[lower, 0::2]) @ axis
    errors = np.hypot(np.hypot(sds[upper, 1::2], sds[lower, 0::2]), DISC_FLOOR_MM)
    forwards = points[lower, 0] - points[lower, 4]
    forwards = _unit(forwards)
    row = {f"disc_{name}_mm": float(gap) for name, gap in zip(HEIGHTS, gaps, strict=True)}
    row |= {f"disc_{name}_error_mm": float(error) for name, error in zip(HEIGHTS, errors, strict=True)}
    return row | {"slip_mm": float((points[upper, 5] - points[lower, 4]) @ forwards), "slip_error_mm": SLIP_MM}


def curves_of(rows: pd.DataFrame) -> dict[str, float]:
    """Kyphosis T4-T12, lordosis L1-L5 and scoliosis of one scan's LANDMARKS, degrees with errors; NaN where unknown.

    Kyphosis and lordosis are positive as they usually are. Only vertebrae with points count; for a scoliosis those that
    are evaluable or in their place.
    """
    points, labels = points_of(rows), rows["vertebra"].to_numpy(int)
    sds = rows.reindex(columns=POINT_SD_COLUMNS).to_numpy(np.float64)
    known = {int(label): row for row, label in enumerate(labels) if np.isfinite(points[row]).all()}
    found: dict[str, float] = {}
    for name, (first, last) in CURVES.items():
        top, bottom = known.get(LABEL_OF[first]), known.get(LABEL_OF[last])
        angle = error = float("nan")
        if top is not None and bottom is not None:
            sign = 1 if name == "kyphosis" else -1
            angle = sign * (_slope(points[top, 0], points[top, 4]) - _slope(points[bottom, 1], points[bottom, 5]))
            parts = [_slope_error(points[row], sds[row], end) for row, end in ((top, 0), (bottom, 1))]
            error = float(np.sqrt(np.nansum(np.square(parts)) + ANGLE_FLOOR_DEG**2))
        found |= {f"{name}_deg": angle, f"{name}_error_deg": error}
    scoliosis = _scoliosis(centres_of(rows), labels)
    return found | {
        "scoliosis_deg": scoliosis,
        "scoliosis_error_deg": SCOLIOSIS_DEG if np.isfinite(scoliosis) else np.nan,
    }


def _slope(front: Floats, back: Floats) -> float:
    """How far an endplate rises to the back, degrees, seen from the side."""
    return float(np.degrees(np.arctan2(back[2] - front[2], front[1] - back[1])))


def _slope_error(points: Floats, sds: Floats, end: int) -> float:
    """Standard deviation of `_slope` in degrees; NaN where that of the points is unknown. end: 0 upper, 1 lower."""
    span = float(np.linalg.norm(points[end] - points[4 + end]))
    return float(np.degrees(np.hypot(sds[end], sds[4 + end]) / span))


def _scoliosis(centres: Floats, labels: np.ndarray) -> float:
    """Largest angle (degrees) between two places of the curve through the centres, seen from the front.

    NaN with fewer than SCOLIOSIS_LEAST vertebrae in a row. The curve is a polynomial x(z), as one vertebra's error of a
    millimetre would tilt its neighbours' line by two degrees.
    """
    rows = _longest_run(labels)
    if len(rows) < SCOLIOSIS_LEAST:
        return float("nan")
    x, z = centres[rows, 0], centres[rows, 2]
    curve = np.polynomial.Polynomial.fit(z, x, min(SMOOTHING, len(rows) // 3 + 1))
    tilts = np.degrees(np.arctan(curve.deriv()(z)))
    return float(tilts.max() - tilts.min())


def _longest_run(labels: np.ndarray) -> list[int]:
    """Rows of the longest series of vertebrae next to each other, from head to feet."""
    runs: list[list[int]] = []
    for upper, lower in neighbours(labels):
        if runs and runs[-1][-1] == upper:
            runs[-1].append(lower)
        else:
            runs.append([upper, lower])
    return max(runs, key=len, default=[])


def _unit(vector: Any) -> Floats:
    return np.asarray(vector / np.linalg.norm(vector))
