"""Vertebral heights from six points, and Genant's semiquantitative grade."""

import numpy as np

from vertegrade.arrays import Floats

MILD, MODERATE, SEVERE = 0.20, 0.25, 0.40

# Severity on Genant's scale at some height losses. Half a grade below 20 %: his own "0.5" for a doubtful deformity
# (Genant 1993); each limit of a grade lies midway between grades, so that rounding the severity gives the grade.
# 60 % is the end of the scale: hardly a body loses more.
SEVERITY_LOSSES = (0.0, MILD, MODERATE, SEVERE, 0.60)
SEVERITIES = (0.0, 0.5, 1.5, 2.5, 3.0)


def genant_grade(height_loss: float) -> int:
    """Genant grade (0-3) of the largest height loss (fraction, 0-1) of the anterior, middle and posterior column.

    Half-open intervals: [0, .20) -> 0, [.20, .25) -> 1, [.25, .40) -> 2, [.40, 1] -> 3.
    Genant et al. 1993, J Bone Miner Res 8:1137 (20-25 % mild, 25-40 % moderate, above 40 % severe).
    """
    if not 0 <= height_loss <= 1:
        raise ValueError(f"height loss {height_loss!r} is not a fraction between 0 and 1")
    return sum(height_loss >= threshold for threshold in (MILD, MODERATE, SEVERE))


def genant_severity(height_loss: Floats) -> Floats:
    """Continuous severity (N,) in 0-3 of height losses (N,; fractions, negative where a column is higher than normal).

    Piecewise linear and monotone through (0, 0), (.20, .5), (.25, 1.5), (.40, 2.5), (.60, 3).
    """
    severity: Floats = np.interp(height_loss, SEVERITY_LOSSES, SEVERITIES)
    return severity


def column_heights(points_mm: Floats) -> Floats:
    """Anterior, middle and posterior height in mm (N, 3) of six points (N, 6, 3) in tables.POINTS' order (RAS mm).

    Distances in the patient's space between the superior and the inferior end of each column; NaN where one is unknown.
    """
    heights: Floats = np.linalg.norm(points_mm[:, 0::2] - points_mm[:, 1::2], axis=2)
    return heights


def column_height_sds(point_sd_mm: Floats) -> Floats:
    """Standard deviations in mm (N, 3) of the heights from those of the points along the column (N, 6).

    The errors of a column's two ends are taken as independent; errors across the column change its length only in
    second order.
    """
    sds: Floats = np.hypot(point_sd_mm[:, 0::2], point_sd_mm[:, 1::2])
    return sds
