"""Pictures of vertebrae: a montage in order of predicted severity; what it shares with other pictures of them.

Images are mid-sagittal: head up, front of the patient to the left (docs/design/architecture.md), in a bone window.
"""

import textwrap
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from vertegrade.level_texts import level_text
from vertegrade.plotting import NOTICE, STYLE, Pixels, grey_values
from vertegrade.report.severities import severity_text
from vertegrade.settings.report import ReportSettings
from vertegrade.tables import KEY, doubt_of
from vertegrade.vertebra_reasons import doubts_of

WATERMARK = "SYNTHETIC"
FONT = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans-Bold.ttf"
TILE = 256  # px: side of an enlarged image, so that the watermark is legible whatever the crop's size
GRADE_COLOURS = ["#9aa5b1", "#56B4E9", "#E69F00", "#D55E00"]
UNKNOWN_COLOUR = "#ffffff"
DOUBT_COLOUR = "#a33b00"
COLUMNS = 8  # images per row of the montage
LINE = 1.5  # a row of the montage, in tiles: the image, a line of text, and four small ones
SMALL_LINE = 0.08
SCAN_CHARACTERS = 20  # of a scan's id in a line below a tile
DOUBT_CHARACTERS = 32  # of what is doubtful of a grade


def true_grades(rows: pd.DataFrame, labels: pd.DataFrame) -> np.ndarray:
    """Genant grade `(N,)` of each vertebra of the rows, NaN where there is no usable label (LABELS)."""
    usable = labels.loc[labels["usable"], ["scan_id", "vertebra", "genant_grade"]]
    keys = rows[["scan_id", "vertebra"]]
    merged = keys.merge(usable, on=["scan_id", "vertebra"], how="left", validate="one_to_one")
    return merged["genant_grade"].to_numpy(dtype=float)


def with_doubts(rows: pd.DataFrame, grades: pd.DataFrame) -> pd.DataFrame:
    """Rows of PREDICTIONS with the flags of GRADE_TABLE, which say where methods disagree too."""
    flags = rows[KEY].merge(grades[[*KEY, "flags"]], on=KEY, how="left", validate="one_to_one")["flags"]
    return rows.assign(flags=flags.to_numpy())


def mid_sagittal(pixels: np.ndarray) -> np.ndarray:
    """The middle slice `(..., H, W)` of stacks `(..., S, H, W)`."""
    return pixels[..., pixels.shape[-3] // 2, :, :]


def montage_figure(hu: np.ndarray, rows: pd.DataFrame, true_grade: np.ndarray, settings: ReportSettings) -> Figure:
    """Crops in the order of their rows (`spread_by_severity`), framed in the colour of the true grade.

    hu: `(N, H, W)` mid-sagittal HU. rows: PREDICTIONS of the same vertebrae (`with_doubts`). true_grade: `(N,)`, NaN
    where unknown.
    """
    lines, severities = max(1, -(-len(rows) // COLUMNS)), rows["severity"].to_numpy(np.float64)
    with matplotlib.rc_context(STYLE):
        figure, axes = canvas(COLUMNS * 1.3, lines * LINE * 1.3 + 0.75, COLUMNS, lines * LINE, top=0.45)
        for place, (level, flags, row) in enumerate(
            zip(levels_in(rows), flags_in(rows), rows.itertuples(), strict=True)
        ):
            line, column = divmod(place, COLUMNS)
            x, y = column, line * LINE
            grade = true_grade[place]
            colour = UNKNOWN_COLOUR if np.isnan(grade) else GRADE_COLOURS[int(grade)]
            show(axes, grey_values(hu[place], settings), x, y, colour)
            truth = "?" if np.isnan(grade) else f"{grade:.0f}"
            text = f"{level}  {severity_text(severities[place])}  true {truth}"
            axes.text(x + 0.5, y + 1.0, text, ha="center", va="top", fontsize=7.5)
            small: dict[str, Any] = {"ha": "center", "va": "top", "fontsize": 6}
            doubts = textwrap.wrap(", ".join(doubts_of(flags)), DOUBT_CHARACTERS)
            axes.text(x + 0.5, y + 1.1, "\n".join(doubts), color=DOUBT_COLOUR, **small)
            below = y + 1.1 + SMALL_LINE * len(doubts)
            axes.text(x + 0.5, below, scan_text(str(row.scan_id)), color="#4a5560", **small)
        _montage_heading(figure)
        say_if_empty(axes, rows)
    return figure


def scan_text(scan_id: str) -> str:
    """A scan's id as it fits below a tile: in two lines where it is long, without its middle where it is longer."""
    if len(scan_id) > 2 * SCAN_CHARACTERS:
        scan_id = f"{scan_id[:SCAN_CHARACTERS]}…{scan_id[1 - SCAN_CHARACTERS :]}"
    return "\n".join(filter(None, (scan_id[:SCAN_CHARACTERS], scan_id[SCAN_CHARACTERS:])))


def levels_in(rows: pd.DataFrame) -> list[str]:
    """The levels' names of PREDICTIONS as people are to read them."""
    return [level_text(*of) for of in zip(rows["vertebra"], doubt_of(rows)["label_confidence"], strict=True)]


def flags_in(rows: pd.DataFrame) -> list[str]:
    """The flags of each row of PREDICTIONS, joined by blanks; "" where it has none."""
    flags: list[str] = doubt_of(rows)["flags"].tolist()
    return flags


def say_if_empty(axes: Axes, rows: pd.DataFrame) -> None:
    """Words instead of pictures where there is no row."""
    if not len(rows):
        axes.text(0.5, 0.5, "No graded vertebra in the test split", transform=axes.transAxes, ha="center")


def _montage_heading(figure: Figure) -> None:
    """The title, and which frame means which grade."""
    height = figure.get_size_inches()[1]
    title = "Test vertebrae from least to most severe: level, predicted severity, true grade, scan"
    figure.text(0.01, 1 - 0.12 / height, title, va="top", fontsize=9, weight="bold")
    for grade, colour in enumerate(GRADE_COLOURS):
        patch = (0.68 + 0.078 * grade, 1 - 0.25 / height)
        figure.patches.append(
            Rectangle(patch, 0.012, 0.12 / height, color=colour, transform=figure.transFigure, clip_on=False)
        )
        figure.text(patch[0] + 0.016, 1 - 0.12 / height, f"grade {grade}", va="top", fontsize=8)


def canvas(width: float, height: float, columns: float, lines: float, top: float) -> tuple[Figure, Axes]:
    """A figure in inches whose one axes counts tiles: x to the right, y down; `top` inches are kept for a heading."""
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((0.005, 0.3 / height, 0.99, 1 - (0.3 + top) / height))
    axes.set_axis_off()
    axes.set(xlim=(0, columns), ylim=(lines, 0))
    figure.text(0.5, 0.08 / height, NOTICE, ha="center", fontsize=8, color="#4a5560")
    return figure, axes


def show(
    axes: Axes, image: Pixels, x: float, y: float, frame: str = "", shape: tuple[float, float] = (0.96, 0.96)
) -> None:
    """Draw an image `(H, W)` or `(H, W, 3)` into the tile at x, y, with a frame if that is a colour."""
    extent = (x + 0.02, x + 0.02 + shape[0], y + 0.02 + shape[1], y + 0.02)
    limits = axes.get_xlim(), axes.get_ylim()
    axes.imshow(image, cmap="gray", vmin=0, vmax=255, extent=extent, aspect="auto", interpolation="bilinear")
    axes.set(xlim=limits[0], ylim=limits[1])
    if frame:
        axes.add_patch(Rectangle((x + 0.02, y + 0.02), 0.96, 0.96, fill=False, edgecolor=frame, linewidth=2.5))
