"""The spine of one scan from the side: a mid-sagittal view that follows the spine from side to side.

Curved planar reformation (Kanitsar 2002): each row of the picture is a horizontal line of the scan, from front (left)
to back, at the height z where the centreline runs at x(z). Height and depth keep their millimetres, so that boxes and
heights can be read off; only the bend to the sides is straightened.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import ndimage

from vertegrade.arrays import Floats
from vertegrade.ct.volume import Volume, mm_to_voxel
from vertegrade.plotting import Pixels, grey_values
from vertegrade.settings.report import ReportSettings
from vertegrade.spine.centreline import Centreline, fit_centreline
from vertegrade.tables import centres_of

PIXEL_MM = 0.75
FRONT_MM, BACK_MM = 60.0, 80.0  # shown in front of and behind the centres
MARGIN_MM = 45.0  # shown above the first centre and below the last one
SLAB_MM = (-3.0, 0.0, 3.0)  # mean over three sagittal planes: noise and the steps of thin structures vanish
SMOOTHING_MM = 100.0
BOX_SHARE = 0.36  # half the height and depth of the box of a body without points, as shares of the nearest gap
BOX_MM = 12.0  # where there is only one vertebra


@dataclass(frozen=True)
class SpineView:
    """grey: `(rows, columns)`, 0-255. z, y: RAS mm of rows (downwards) and columns (from front to back). line: the
    centreline that the view follows."""

    grey: Pixels
    z: Floats
    y: Floats
    line: Centreline


def spine_view(volume: Volume, landmarks: pd.DataFrame, settings: ReportSettings) -> SpineView:
    """The view of one scan. landmarks: its rows of table LANDMARKS, at least one."""
    centres = centres_of(landmarks.sort_values("centre_z_mm", ascending=False, kind="stable"))
    line = fit_centreline(_distinct(centres), SMOOTHING_MM)
    z, y = _canvas(volume, centres)
    return SpineView(grey_values(_reformat(volume, line, z, y), settings), z, y, line)


def _distinct(centres: Floats) -> Floats:
    """Centres without repetitions: two of one place (an error to be shown) would have no line between them."""
    steps = np.linalg.norm(np.diff(centres, axis=0), axis=1)
    return centres[np.concatenate([[True], steps > 0.1])]


def _canvas(volume: Volume, centres: Floats) -> tuple[Floats, Floats]:
    """Heights z (downwards) and depths y (from front to back) of the picture's pixels, RAS mm: the scan, no further."""
    corners = np.array([[0, 0, 0], np.array(volume.hu.shape) - 1]) @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    low, high = corners.min(axis=0), corners.max(axis=0)
    top, bottom = min(high[2], centres[:, 2].max() + MARGIN_MM), max(low[2], centres[:, 2].min() - MARGIN_MM)
    front, back = centres[:, 1].max() + FRONT_MM, centres[:, 1].min() - BACK_MM
    return np.arange(top, bottom, -PIXEL_MM), np.arange(front, back, -PIXEL_MM)


def _reformat(volume: Volume, line: Centreline, z: Floats, y: Floats) -> Floats:
    """HU (rows z, columns y) where the centreline's x follows from z; air outside the scan."""
    arcs = np.arange(line.arcs[0] - 60, line.arcs[-1] + 60, 0.5)
    path, _ = line.at(arcs)
    x = np.interp(z, path[::-1, 2], path[::-1, 0])
    planes = []
    for offset in SLAB_MM:
        points = np.stack(np.broadcast_arrays((x + offset)[:, None], y[None], z[:, None]), axis=-1)
        voxels = np.moveaxis(mm_to_voxel(volume.affine, points), -1, 0)
        planes.append(ndimage.map_coordinates(volume.hu, voxels, order=1, output=np.float32, cval=-1024))
    return np.asarray(np.mean(planes, axis=0), dtype=np.float64)


def body_outline(points: Floats, centres: Floats, place: int) -> Floats:
    """Closed outline (n, 3) of a body: through its points if known, else a box about its centre along the spine."""
    if np.isfinite(points).all():
        superior, inferior = points[0::2], points[1::2]
        return np.concatenate([superior, inferior[::-1], superior[:1]])
    before, after = centres[max(place - 1, 0)], centres[min(place + 1, len(centres) - 1)]
    along = (after - before) * [0, 1, 1]
    length = np.linalg.norm(along)
    gaps = np.linalg.norm(np.diff(centres[max(place - 1, 0) : place + 2], axis=0), axis=1)
    half = BOX_SHARE * float(gaps.min()) if len(gaps) else BOX_MM
    down = along / length if length > 0 else np.array([0.0, 0.0, -1.0])
    back = np.array([0.0, down[2], -down[1]])
    corners = [(-1, -1), (-1, 1), (1, 1), (1, -1), (-1, -1)]
    return np.array([centres[place] + half * (a * down + 1.1 * b * back) for a, b in corners])
