"""Drawn vertebrae beside the crop itself bent to the same heights."""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from vertegrade.plotting import STYLE, grey_values
from vertegrade.report.montage import canvas, levels_in, say_if_empty, scan_text, show
from vertegrade.report.strips import watermarked
from vertegrade.settings.report import ReportSettings

HEADS = ("CT", "Drawn by the model", "The crop, bent")


def rivals_figure(images: np.ndarray, rows: pd.DataFrame, heads: list[str], settings: ReportSettings) -> Figure:
    """Of M vertebrae the crop, the model's picture and the bent crop; images (M, 3, H, W) HU.

    rows: PREDICTIONS of the M vertebrae. heads: what was asked for of each. All images but the crop are watermarked.
    """
    with matplotlib.rc_context(STYLE):
        lines = max(1, len(rows)) * 1.1
        figure, axes = canvas(4 * 1.8, lines * 1.8 + 0.75, 4, lines, top=0.45)
        for column, head in enumerate(HEADS, start=1):
            axes.text(column + 0.5, -0.04, head, ha="center", va="bottom", weight="bold", fontsize=10)
        for place, (level, row) in enumerate(zip(levels_in(rows), rows.itertuples(), strict=True)):
            y = place * 1.1
            axes.text(0.05, y + 0.1, level, va="top", fontsize=13, weight="bold")
            axes.text(0.05, y + 0.3, heads[place], va="top", fontsize=9)
            axes.text(0.05, y + 0.5, f"Scan\n{scan_text(str(row.scan_id))}", va="top", fontsize=7, linespacing=1.4)
            crop, *made = images[place]
            show(axes, grey_values(crop, settings), 1, y)
            for column, image in enumerate(made, start=2):
                show(axes, watermarked(grey_values(image, settings)), column, y)
        say_if_empty(axes, rows)
    return figure
