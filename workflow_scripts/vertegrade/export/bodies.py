"""Vertebral bodies drawn from their six points onto the slices of a series or volume.

A body is what lies between the two lines through the upper and the lower ends of its three heights (continued to the
walls), inside an upright elliptic cylinder. Its depth follows from the points (`spine.morphometry.SHARES`), its width
from the depth and the mean proportion of the level. So endplates are where they were measured; walls are a drawing, and
the arch is not part of it. docs/how-to/export.md says how well it agrees with masks.
"""

from dataclasses import dataclass

import numpy as np

from vertegrade.arrays import Floats
from vertegrade.export.findings import Finding
from vertegrade.levels import craniocaudal_rank
from vertegrade.spine.level_statistics import level_sizes
from vertegrade.spine.morphometry import SHARES

ROUND = 2.0  # exponent of the outline, which is an ellipse
LPS_RAS = np.array([-1.0, -1.0, 1.0])


@dataclass(frozen=True, eq=False)
class Planes:
    """A stack of slices in LPS mm.

    origins (n, 3), row and column (3,): place of the first pixel of each slice, and directions along a row and along a
    column; spacing: (2,) mm between rows, between columns; shape: rows and columns.
    """

    origins: np.ndarray
    row: np.ndarray
    column: np.ndarray
    spacing: np.ndarray
    shape: tuple[int, int]


def planes_of(shape: tuple[int, ...], affine: Floats) -> Planes:
    """The slices of a volume of axes (i, j, k), one per k: i runs along a row, j along a column.

    affine: (4, 4) from voxel indices to RAS mm.
    """
    steps = affine[:3].T * LPS_RAS
    spacing = np.linalg.norm(steps[:2], axis=1)
    return Planes(
        origins=steps[3] + np.arange(shape[2])[:, None] * steps[2],
        row=steps[0] / spacing[0],
        column=steps[1] / spacing[1],
        spacing=spacing[::-1],
        shape=(shape[1], shape[0]),
    )


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


def drawn_bodies(findings: list[Finding], planes: Planes) -> tuple[np.ndarray, list[Finding]]:
    """The bodies of findings in slices, and whose they are: numbers from 1 (0: none), uint8 (slices, rows, columns).

    A finding without six points, or without a voxel in the slices, has no number.
    """
    drawn = [(finding, body) for finding in findings if (body := drawn_body(finding)) is not None]
    maps = _numbered([body for _, body in drawn], planes)
    kept = [number for number in range(1, len(drawn) + 1) if (maps == number).any()]
    numbers = np.zeros(len(drawn) + 1, dtype=np.uint8)
    numbers[kept] = np.arange(1, len(kept) + 1)
    return numbers[maps], [drawn[number - 1][0] for number in kept]


def _numbered(bodies: list[DrawnBody], planes: Planes) -> np.ndarray:
    """Numbers of bodies (from 1; 0: none), uint8 (slices, rows, columns), in the order of the slices."""
    maps = np.zeros((len(planes.origins), *planes.shape), dtype=np.uint8)
    normal = np.cross(planes.row, planes.column)
    for number, body in enumerate(bodies, start=1):
        for k in np.flatnonzero(np.abs((body.middle - planes.origins) @ normal) <= body.reach_mm):
            away = body.middle - planes.origins[k]
            rows, columns = (
                _range(away @ direction, body.reach_mm, spacing, size)
                for direction, spacing, size in zip(
                    (planes.column, planes.row), planes.spacing, planes.shape, strict=True
                )
            )
            if not (rows.size and columns.size):
                continue
            grid = (
                planes.origins[k]
                + rows[:, None, None] * planes.spacing[0] * planes.column
                + columns[None, :, None] * planes.spacing[1] * planes.row
            )
            part = maps[k, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            part[body.holds(grid) & (part == 0)] = number
    return maps


def _range(middle: float, reach: float, spacing: float, size: int) -> np.ndarray:
    """Indices within reach (mm) of a place (mm) along an axis."""
    low, high = np.ceil((middle - reach) / spacing), np.floor((middle + reach) / spacing)
    return np.arange(max(int(low), 0), min(int(high), size - 1) + 1)
