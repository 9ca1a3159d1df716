"""One picture per scan of what localization found, on the view of its spine from the side (spine_view.py)."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vertegrade.arrays import Floats
from vertegrade.level_texts import level_text
from vertegrade.plotting import COLOURS, NOTICE, STYLE
from vertegrade.report.spine_view import PIXEL_MM, SpineView, body_outline
from vertegrade.tables import centres_of, points_of

COLOUR = {True: COLOURS[4], False: COLOURS[5]}  # evaluable or not
LINE, POINT = COLOURS[2], "#ffffff"
TEXT_MM, LINE_MM, HEADING_MM = 90.0, 7.0, 14.0  # room for the texts on the right, above and below
CHARACTER_MM = 1.9  # of a text; where the longest needs more than TEXT_MM, the picture is wider
MM_PER_INCH = 40.0


def localization_figure(view: SpineView, landmarks: pd.DataFrame) -> Figure:
    """The picture of one scan. landmarks: its rows of table LANDMARKS, at least one, those of its view."""
    rows = landmarks.sort_values("centre_z_mm", ascending=False, kind="stable")
    centres, points = centres_of(rows), points_of(rows)
    line, z, y = view.line, view.z, view.y
    texts = [_text(row) for row in rows.to_dict("records")]
    room = max(TEXT_MM, CHARACTER_MM * max(map(len, texts)))
    height, width = len(z) * PIXEL_MM + 2 * HEADING_MM, len(y) * PIXEL_MM + room
    with rc_context(STYLE):
        figure = Figure(figsize=(width / MM_PER_INCH, height / MM_PER_INCH))
        axes = figure.add_axes((0, HEADING_MM / height, 1, 1 - 2 * HEADING_MM / height))
        axes.set_axis_off()
        axes.imshow(
            view.grey, cmap="gray", vmin=0, vmax=255, extent=(y[0], y[-1], z[-1], z[0]), interpolation="bilinear"
        )
        path, _ = line.at(np.arange(line.arcs[0] - 15, line.arcs[-1] + 15, 1.0))
        axes.plot(path[:, 1], path[:, 2], color=LINE, linewidth=0.9, alpha=0.8)
        heights = _lines(centres[:, 2])
        for place, row in enumerate(rows.to_dict("records")):
            _draw(axes, COLOUR[row["evaluable"]], points[place], centres, place)
            axes.text(y[-1] - 2, heights[place], texts[place], va="center", fontsize=6, clip_on=False)
        axes.set(xlim=(y[0], y[-1] - room), ylim=(z[-1], z[0]))
        found = f"{', '.join(sorted(set(rows['source'])))}: {rows['evaluable'].sum()} of {len(rows)} evaluable"
        figure.text(0.01, 1 - 2 / height, rows["scan_id"].iloc[0], va="top", fontsize=7, weight="bold")
        figure.text(0.01, 1 - 8 / height, found, va="top", fontsize=6.5)
        figure.text(0.01, 3 / height, NOTICE, fontsize=6.5, color="#4a5560")
    return figure


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


def _draw(axes: Axes, colour: str, points: Floats, centres: Floats, place: int) -> None:
    """Box and points (6, 3) of one vertebra."""
    box = body_outline(points, centres, place)
    axes.plot(box[:, 1], box[:, 2], color=colour, linewidth=1.0)
    axes.plot(centres[place, 1], centres[place, 2], "+", color=colour, markersize=3.5, markeredgewidth=0.8)
    if np.isfinite(points).all():
        for segment in points.reshape(3, 2, 3):
            axes.plot(segment[:, 1], segment[:, 2], color=POINT, linewidth=0.6, marker="o", markersize=1.6)
