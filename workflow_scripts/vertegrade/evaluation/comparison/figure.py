"""The figure of the comparison, for print: each method's figures with their intervals, and those of papers apart."""

from collections.abc import Mapping
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from vertegrade.evaluation.comparison.tables import OTHER_DATA, PATIENTS, THIS_RUN, VERTEBRAE
from vertegrade.methods import METHODS
from vertegrade.plotting import COLOURS, NOTICE, STYLE

MARKERS = ["o", "s", "^", "D", "v", "P"]
GREY = "#5b6672"
Panel = tuple[str, str, str]
# Title, unit, figure.
PANELS: tuple[Panel, ...] = (
    ("AUC, vertebrae", VERTEBRAE, "auc"),
    ("Sensitivity, vertebrae", VERTEBRAE, "sensitivity"),
    ("Specificity, vertebrae", VERTEBRAE, "specificity"),
    ("AUC, patients", PATIENTS, "auc"),
    ("Macro-F1 of grades", VERTEBRAE, "macro_f1"),
    ("Spearman with the true grade", VERTEBRAE, "spearman_grade"),
)


def label_of(method: str) -> str:
    """A method as people write it; other names stay."""
    return METHODS[method].label if method in METHODS else method


def mark_of(place: int) -> dict[str, Any]:
    """Colour and marker of the method at a place."""
    return {"color": COLOURS[place % len(COLOURS)], "marker": MARKERS[place % len(MARKERS)]}


def comparison_figure(comparison: pd.DataFrame) -> Figure:
    """COMPARISON as six panels of dots with intervals over patients; papers' figures are hollow, below a line."""
    methods = methods_of(comparison)
    with matplotlib.rc_context(STYLE):
        height = 1.3 + 2 * (0.9 + 0.3 * (len(methods) + 3))
        figure = Figure(figsize=(10.5, height), layout=ConstrainedLayoutEngine(rect=(0, 0.04, 1, 0.96)))
        draw_panels(figure, comparison, methods)
        figure.text(0.5, 0.012, NOTICE, ha="center", fontsize=8, color=GREY)
    return figure


def methods_of(comparison: pd.DataFrame) -> list[str]:
    """The run's methods in the order of the table."""
    rows = comparison[(comparison["data"] == THIS_RUN) & (comparison["minus"] == "")]
    return list(dict.fromkeys(rows["method"]))


def draw_panels(figure: Figure | SubFigure, comparison: pd.DataFrame, methods: list[str]) -> None:
    """The panels, in two rows."""
    papers = max(int((_rows(comparison, panel)["data"] == OTHER_DATA).sum()) for panel in PANELS)
    for axes, panel in zip(figure.subplots(2, 3).ravel(), PANELS, strict=True):
        _panel(axes, _rows(comparison, panel), methods, panel[0])
        axes.set_ylim(len(methods) + papers - 0.5, -0.5)


def _rows(comparison: pd.DataFrame, panel: Panel) -> pd.DataFrame:
    _, unit, name = panel
    return comparison[(comparison["unit"] == unit) & (comparison["figure"] == name) & (comparison["minus"] == "")]


def _panel(axes: Axes, rows: pd.DataFrame, methods: list[str], title: str) -> None:
    own = rows[rows["data"] == THIS_RUN].set_index("method")
    others = rows[rows["data"] == OTHER_DATA]
    for place, method in enumerate(methods):
        _dot(axes, place, own.loc[method].to_dict(), mark_of(place))
    for place, (_, row) in enumerate(others.iterrows(), start=len(methods)):
        axes.plot(row["value"], place, "o", color=GREY, fillstyle="none")
    if len(others):
        axes.axhline(len(methods) - 0.5, color=GREY, linewidth=0.8)
    names = [label_of(name) for name in methods] + [f"{name}*" for name in others["method"]]
    axes.set_yticks(range(len(names)), names)
    shown = np.array([*own[["value", "low", "high"]].to_numpy(float).ravel(), *others["value"]], dtype=float)
    least = np.nanmin(shown) if np.isfinite(shown).any() else 0.0
    axes.set_xlim(max(-1.0, np.floor(10 * least - 0.2) / 10), 1.01)
    axes.set_title(title, fontsize=10, loc="left")
    axes.grid(visible=False, axis="y")
    if not np.isfinite(own["value"].to_numpy(float)).any():
        axes.text(0.5, 0.5, "Undefined: too few cases", transform=axes.transAxes, ha="center", va="center", color=GREY)


def _dot(axes: Axes, place: int, row: Mapping[Any, Any], mark: dict[str, Any]) -> None:
    value, low, high = (float(row[key]) for key in ("value", "low", "high"))
    if np.isfinite([low, high]).all():
        axes.plot([low, high], [place, place], color=mark["color"], linewidth=2, solid_capstyle="butt")
    axes.plot(value, place, linestyle="none", markersize=7, **mark)
