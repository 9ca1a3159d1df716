"""One picture per scan of what localization found: a mid-sagittal view that follows the spine from side to side.

Curved planar reformation (Kanitsar 2002): each row of the picture is a horizontal line of the scan, from front (left)
to back, at the height z where the centreline runs at x(z). Height and depth keep their millimetres, so that boxes and
heights can be read off; only the bend to the sides is straightened.
"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import ndimage

from vertegrade.arrays import Floats
from vertegrade.ct.volume import Volume, mm_to_voxel
from vertegrade.level_texts import level_text
from vertegrade.plotting import COLOURS, NOTICE, STYLE, grey_values
from vertegrade.settings.report import ReportSettings
from vertegrade.spine.centreline import Centreline, fit_centreline
from vertegrade.tables import POINT_COLUMNS

PIXEL_MM = 1.0
FRONT_MM, BACK_MM = 60.0, 80.0  # shown in front of and behind the centres
SLAB_MM = (-3.0, 0.0, 3.0)  # mean over three sagittal planes: noise and the steps of thin structures vanish
SMOOTHING_MM = 100.0
BOX_SHARE = 0.36  # half the height and depth of the box of a body without points, as shares of the nearest gap
BOX_MM = 12.0  # where there is only one vertebra
COLOUR = {True: COLOURS[4], False: COLOURS[5]}  # evaluable or not
LINE, POINT = COLOURS[2], "#ffffff"
TEXT_MM, LINE_MM, HEADING_MM = 90.0, 7.0, 14.0  # room for the texts on the right, above and below
CHARACTER_MM = 1.9  # of a text; where the longest needs more than TEXT_MM, the picture is wider
MM_PER_INCH = 40.0


def localization_figure(volume: Volume, landmarks: pd.DataFrame, settings: ReportSettings) -> Figure:
    """The picture of one scan. landmarks: its rows of table LANDMARKS, at least one."""
    rows = landmarks.sort_values("centre_z_mm", ascending=False, kind="stable")
    centres = rows[["centre_x_mm", "centre_y_mm", "centre_z_mm"]].to_numpy(dtype=float)
    line = fit_centreline(_distinct(centres), SMOOTHING_MM)
    z, y = _canvas(volume, centres)
    image = grey_values(_reformat(volume, line, z, y), settings)
    texts = [_text(row) for row in rows.to_dict("records")]
    room = max(TEXT_MM, CHARACTER_MM * max(map(len, texts)))
    height, width = len(z) * PIXEL_MM + 2 * HEADING_MM, len(y) * PIXEL_MM + room
    with rc_context(STYLE):
        figure = Figure(figsize=(width / MM_PER_INCH, height / MM_PER_INCH))
        axes = figure.add_axes((0, HEADING_MM / height, 1, 1 - 2 * HEADING_MM / height))
        axes.set_axis_off()
        axes.imshow(image, cmap="gray", vmin=0, vmax=255, extent=(y[0], y[-1], z[-1], z[0]), interpolation="bilinear")
        path, _ = line.at(np.arange(line.arcs[0] - 15, line.arcs[-1] + 15, 1.0))
        axes.plot(path[:, 1], path[:, 2], color=LINE, linewidth=0.9, alpha=0.8)
        heights = _lines(centres[:, 2])
        for place, row in enumerate(rows.to_dict("records")):
            _draw(axes, row, centres, place)
            axes.text(y[-1] - 2, heights[place], texts[place], va="center", fontsize=6, clip_on=False)
        axes.set(xlim=(y[0], y[-1] - room), ylim=(z[-1], z[0]))
        found = f"{', '.join(sorted(set(rows['source'])))}: {rows['evaluable'].sum()} of {len(rows)} evaluable"
        figure.text(0.01, 1 - 2 / height, rows["scan_id"].iloc[0], va="top", fontsize=7, weight="bold")
        figure.text(0.01, 1 - 8 / height, found, va="top", fontsize=6.5)
        figure.text(0.01, 3 / height, NOTICE, fontsize=6.5, color="#4a5560")
    return figure


def _distinct(centres: Floats) -> Floats:
    """Centres without repetitions: two of one place (an error to be shown) would have no line between them."""
    steps = np.linalg.norm(np.diff(centres, axis=0), axis=1)
    return centres[np.concatenate([[True], steps > 0.1])]


def _canvas(volume: Volume, centres: Floats) -> tuple[Floats, Floats]:
    """Heights z (downwards) and depths y (from front to back) of the picture's pixels, RAS mm: the scan, no further."""
    corners = np.array([[0, 0, 0], np.array(volume.hu.shape) - 1]) @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    low, high = corners.min(axis=0), corners.max(axis=0)
    margin = 45.0
    top, bottom = min(high[2], centres[:, 2].max() + margin), max(low[2], centres[:, 2].min() - margin)
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


def _lines(z: Floats) -> Floats:
    """Heights of the texts: those of the centres, but no two nearer than a line."""
    heights = [z[0]]
    for height in z[1:]:
        heights.append(min(height, heights[-1] - LINE_MM))
    return np.array(heights)


def _text(row: dict[Any, Any]) -> str:
    reason = "" if row["evaluable"] else f"  not evaluable: {row['reason']}"
    doubt = "  doubtful points" if "doubtful_points" in row.get("flags", "") else ""
    level = level_text(row["vertebra"], row.get("label_confidence", np.nan))
    return f"{level}  {row['confidence']:.2f}{doubt}{reason}"


def _draw(axes: Axes, row: dict[Any, Any], centres: Floats, place: int) -> None:
    """Box and points of one vertebra."""
    colour = COLOUR[row["evaluable"]]
    points = np.array([row[name] for name in POINT_COLUMNS], dtype=float).reshape(6, 3)
    box = _box(points, centres, place)
    axes.plot(box[:, 1], box[:, 2], color=colour, linewidth=1.0)
    axes.plot(centres[place, 1], centres[place, 2], "+", color=colour, markersize=3.5, markeredgewidth=0.8)
    if np.isfinite(points).all():
        for segment in points.reshape(3, 2, 3):
            axes.plot(segment[:, 1], segment[:, 2], color=POINT, linewidth=0.6, marker="o", markersize=1.6)


def _box(points: Floats, centres: Floats, place: int) -> Floats:
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
