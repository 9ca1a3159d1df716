"""Vertebral bodies drawn from their six points onto the slices of a series.

A body is what lies between the two lines through the upper and the lower ends of its three heights (continued to the
walls), inside an upright elliptic cylinder. Its depth follows from the points (`spine.morphometry.SHARES`), its width
from the depth and the mean proportion of the level. So endplates are where they were measured; walls are a drawing, and
the arch is not part of it. docs/how-to/export.md says how well it agrees with masks.
"""

from dataclasses import dataclass

import numpy as np

from vertegrade.arrays import Floats
from vertegrade.export.findings import Finding
from vertegrade.export.source import Source
from vertegrade.levels import craniocaudal_rank
from vertegrade.spine.level_statistics import level_sizes
from vertegrade.spine.morphometry import SHARES

ROUND = 2.0  # exponent of the outline, which is an ellipse
LPS_RAS = np.array([-1.0, -1.0, 1.0])


@dataclass(frozen=True, eq=False)
class DrawnBody:
    """middle: (3,) LPS mm. axes: (3, 3), rows left, posterior, superior. half: (2,) half width and depth, mm.

    places: (3,) of the heights along the posterior axis from the middle; upper, lower: (3,) their ends, superior, mm.
    """

    middle: Floats
    axes: Floats
    half: Floats
    places: Floats
    upper: Floats
    lower: Floats

    def holds(self, points: Floats) -> np.ndarray:
        """Which points (..., 3; LPS mm) lie in the body, bool (...)."""
        left, posterior, superior = np.moveaxis((points - self.middle) @ self.axes.T, -1, 0)
        inside = np.abs(left / self.half[0]) ** ROUND + np.abs(posterior / self.half[1]) ** ROUND <= 1
        upper, lower = (_along(posterior, self.places, ends) for ends in (self.upper, self.lower))
        return np.asarray(inside & (superior <= upper) & (superior >= lower))

    @property
    def reach_mm(self) -> float:
        """Radius of a ball around the middle that contains the body."""
        return float(np.hypot(np.hypot(*self.half), 1.5 * np.abs([self.upper, self.lower]).max()))


def drawn_body(finding: Finding) -> DrawnBody | None:
    """The body of a finding; None where its points are unknown or span none."""
    if finding.points_mm is None:
        return None
    points = finding.points_mm * LPS_RAS
    upper, lower = points[0::2], points[1::2]
    up = (upper - lower).mean(axis=0)
    back = (upper[2] + lower[2] - upper[0] - lower[0]) / 2
    if min(np.linalg.norm(up), np.linalg.norm(back)) < 1:
        return None
    superior = up / np.linalg.norm(up)
    posterior = back - (back @ superior) * superior
    span = float(np.linalg.norm(posterior))
    posterior /= span
    axes = np.stack([np.cross(posterior, superior), posterior, superior])
    depth = span / (SHARES[0] - SHARES[2])
    sizes = level_sizes()
    size = sizes[min(max(int(craniocaudal_rank(finding.vertebra)), min(sizes)), max(sizes))]
    front = ((upper[0] + lower[0]) / 2) - (1 - SHARES[0]) * depth * posterior
    middle = front + depth / 2 * posterior
    return DrawnBody(
        middle=middle,
        axes=axes,
        half=np.array([size.width_mm / size.depth_mm * depth, depth]) / 2,
        places=((upper + lower) / 2 - middle) @ posterior,
        upper=(upper - middle) @ superior,
        lower=(lower - middle) @ superior,
    )


def _along(where: Floats, places: Floats, ends: Floats) -> Floats:
    """The line through three ends at other places: piecewise straight, continued beyond the outer ones."""
    inner: Floats = np.interp(where, places, ends)
    slopes = np.diff(ends) / np.diff(places)
    before, after = np.minimum(where - places[0], 0), np.maximum(where - places[2], 0)
    return inner + before * slopes[0] + after * slopes[1]


def label_maps(bodies: list[DrawnBody], source: Source) -> np.ndarray:
    """Numbers of bodies (from 1; 0: none), uint8 (slices, rows, columns), in the order of the source's slices."""
    maps = np.zeros((len(source.origins), *source.shape), dtype=np.uint8)
    normal = np.cross(source.row, source.column)
    for number, body in enumerate(bodies, start=1):
        for k in np.flatnonzero(np.abs((body.middle - source.origins) @ normal) <= body.reach_mm):
            away = body.middle - source.origins[k]
            rows, columns = (
                _range(away @ direction, body.reach_mm, spacing, size)
                for direction, spacing, size in zip(
                    (source.column, source.row), source.spacing, source.shape, strict=True
                )
            )
            if not (rows.size and columns.size):
                continue
            grid = (
                source.origins[k]
                + rows[:, None, None] * source.spacing[0] * source.column
                + columns[None, :, None] * source.spacing[1] * source.row
            )
            part = maps[k, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            part[body.holds(grid) & (part == 0)] = number
    return maps


def _range(middle: float, reach: float, spacing: float, size: int) -> np.ndarray:
    """Indices within reach (mm) of a place (mm) along an axis."""
    low, high = np.ceil((middle - reach) / spacing), np.floor((middle + reach) / spacing)
    return np.arange(max(int(low), 0), min(int(high), size - 1) + 1)
