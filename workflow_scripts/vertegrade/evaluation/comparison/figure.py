"""The figure of the comparison, for print: each method's figures with their intervals, and those of papers apart."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vertegrade.evaluation.comparison.tables import (
    OTHER_DATA,
    PATIENTS,
    SEQ2SEQ,
    THIS_RUN,
    VERTEBRAE,
    WHOLE_SCAN,
)
from vertegrade.methods import METHODS
from vertegrade.plotting import COLOURS, MARKERS, NOTICE, STYLE

GREY = "#5b6672"
NOTES = "Test {patients}. Bars: intervals over patients; of curves, the range over draws. * papers, on other data"
SMALL: dict[str, Any] = {"markersize": 4.5}
Panel = tuple[str, str, str]
WIDTH_IN, TITLE_IN, NOTES_IN = 10.5, 0.35, 0.55


class Row(NamedTuple):
    """A row of panels: how many, and in inches their height, the room left of them and below."""

    columns: int
    height: float
    left: float
    below: float


# Title, unit, figure.
PANELS: tuple[Panel, ...] = (
    ("AUC, vertebrae", VERTEBRAE, "auc"),
    ("Sensitivity, vertebrae", VERTEBRAE, "sensitivity"),
    ("Specificity, vertebrae", VERTEBRAE, "specificity"),
    ("AUC, patients", PATIENTS, "auc"),
    ("Macro-F1 of grades", VERTEBRAE, "macro_f1"),
    ("Spearman with true grade", VERTEBRAE, "spearman_grade"),
)

# Title, kinds of groups, figure.
GROUPS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("False alarms, intact vertebrae by finding", ("finding",), "false_alarms"),
    ("AUC, vertebrae by acquisition", ("thickness", "noise", "smoothness"), "auc"),
)
FINDINGS = {
    "none": "no finding",
    "degenerate": "osteophytes",
    "haemangioma": "haemangioma",
    "scheuermann": "Scheuermann",
    "schmorl": "Schmorl's node",
    "sclerosis": "sclerosis",
    "short": "short",
    "subthreshold": "loss of 5-19 %",
    "wedging": "wedging, normal",
}


def group_text(kind: str, group: str) -> str:
    """A group as people name it."""
    return FINDINGS.get(group, group) if kind == "finding" else f"{kind} {group}"


def label_of(method: str) -> str:
    """A method as people write it; other names stay."""
    if method == WHOLE_SCAN:
        return f"{METHODS[SEQ2SEQ].label}, whole scan"
    return METHODS[method].label if method in METHODS else method


def mark_of(place: int) -> dict[str, Any]:
    """Colour and marker of the method at a place."""
    return {"color": COLOURS[place % len(COLOURS)], "marker": MARKERS[place % len(MARKERS)]}


def comparison_figure(comparison: pd.DataFrame, learning: pd.DataFrame, groups: pd.DataFrame, patients: str) -> Figure:
    """COMPARISON as panels of dots with intervals over patients; below LEARNING_CURVE of all methods, COMPARED_GROUPS.

    Papers' figures are hollow, below a line. Curves show the mean over the draws, bars their range. patients: what the
    figure is of, such as `phantoms`.
    """
    methods = methods_of(comparison)
    papers = max(int((_rows(comparison, panel)["data"] == OTHER_DATA).sum()) for panel in PANELS)
    most = max(len(set(groups.loc[groups["kind"].isin(kinds), "group"])) for _, kinds, _ in GROUPS)
    of_patients = methods_of(comparison, PATIENTS)
    lines_of_dots = len(of_patients) + papers
    dots = Row(3, 0.3 * lines_of_dots, 1.6 if WHOLE_SCAN in of_patients else 1.4, 0.35)  # its name is the longest
    rows = [
        dots,
        dots,
        *[Row(3, 2.5, 0.55, 0.55)] * bool(len(learning)),
        *[Row(2, 0.4 * most, 1.95, 0.35)] * bool(most),
    ]
    with matplotlib.rc_context(STYLE):
        figure, lines = _laid_out(rows)
        draw_panels([*lines[0], *lines[1]], comparison, lines_of_dots)
        if len(learning):
            draw_curves(lines[2], learning, methods)
        if most:
            draw_groups(lines[-1], groups, methods)
        height = figure.get_size_inches()[1]
        figure.text(0.5, 0.32 / height, NOTES.format(patients=patients), ha="center", fontsize=8, color=GREY)
        figure.text(0.5, 0.12 / height, NOTICE, ha="center", fontsize=8, color=GREY)
    return figure


def _laid_out(rows: list[Row]) -> tuple[Figure, list[list[Axes]]]:
    """A figure with axes in these rows. Places are plain sums: a solver of layouts gave other bytes now and then."""
    height = NOTES_IN + sum(row.height + TITLE_IN + row.below for row in rows)
    figure, lines, top = Figure(figsize=(WIDTH_IN, height)), [], height
    for row in rows:
        bottom = top - TITLE_IN - row.height
        column = WIDTH_IN / row.columns
        lines.append(
            [
                figure.add_axes(
                    (
                        (place * column + row.left) / WIDTH_IN,
                        bottom / height,
                        (column - row.left - 0.2) / WIDTH_IN,
                        row.height / height,
                    )
                )
                for place in range(row.columns)
            ]
        )
        top = bottom - row.below
    return figure, lines


def methods_of(comparison: pd.DataFrame, unit: str = VERTEBRAE) -> list[str]:
    """The run's methods in the order of the table; of patients also WHOLE_SCAN, where it was scored."""
    own = (comparison["data"] == THIS_RUN) & (comparison["minus"] == "") & (comparison["unit"] == unit)
    return list(dict.fromkeys(comparison.loc[own, "method"]))


def draw_panels(panels: list[Axes], comparison: pd.DataFrame, lines: int) -> None:
    """PANELS, each with room for so many lines of methods and papers."""
    for axes, panel in zip(panels, PANELS, strict=True):
        _panel(axes, _rows(comparison, panel), methods_of(comparison, panel[1]), panel[0])
        axes.set_ylim(lines - 0.5, -0.5)


def _rows(comparison: pd.DataFrame, panel: Panel) -> pd.DataFrame:
    _, unit, name = panel
    return comparison[(comparison["unit"] == unit) & (comparison["figure"] == name) & (comparison["minus"] == "")]


def _panel(axes: Axes, rows: pd.DataFrame, methods: list[str], title: str) -> None:
    own = rows[rows["data"] == THIS_RUN].set_index("method")
    others = rows[rows["data"] == OTHER_DATA]
    for place, method in enumerate(methods):
        like = methods.index(SEQ2SEQ) if method == WHOLE_SCAN else place
        _dot(axes, place, own.loc[method].to_dict(), mark_of(like))
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


def _dot(axes: Axes, place: float, row: Mapping[Any, Any], mark: dict[str, Any]) -> None:
    value, low, high = (float(row[key]) for key in ("value", "low", "high"))
    if np.isfinite([low, high]).all():
        axes.plot([low, high], [place, place], color=mark["color"], linewidth=2, solid_capstyle="butt")
    look: dict[str, Any] = {"linestyle": "none", "markersize": 7} | mark
    axes.plot(value, place, **look)


CURVES: tuple[Panel, ...] = (
    ("AUC by labels", VERTEBRAE, "auc"),
    ("Macro-F1 by labels", VERTEBRAE, "macro_f1"),
    ("Spearman by labels", VERTEBRAE, "spearman_grade"),
)


def draw_curves(panels: list[Axes], learning: pd.DataFrame, methods: list[str]) -> None:
    """Figures against the number of labelled training patients."""
    for axes, (title, unit, name) in zip(panels, CURVES, strict=True):
        rows = learning[(learning["unit"] == unit) & (learning["figure"] == name) & learning["value"].notna()]
        for place, method in enumerate(methods):
            of = rows[rows["method"] == method].groupby("labelled")["value"].agg(["mean", "min", "max"])
            if len(of):
                reach = np.abs(of[["min", "max"]].to_numpy().T - of["mean"].to_numpy())
                label = label_of(method)
                axes.errorbar(of.index, of["mean"], yerr=reach, capsize=2, linewidth=1.5, label=label, **mark_of(place))
        axes.set_title(title, fontsize=10, loc="left")
        axes.set_xlabel("Labelled training patients")
        if len(rows):
            axes.set_xscale("log")
            ticks = sorted(set(rows["labelled"]))
            axes.set_xticks(ticks, [str(tick) for tick in ticks])
            axes.minorticks_off()
            axes.legend(loc="lower right")


def draw_groups(panels: list[Axes], groups: pd.DataFrame, methods: list[str]) -> None:
    """Figures of groups, a row of dots for each; with the number of vertebrae."""
    for axes, (title, kinds, name) in zip(panels, GROUPS, strict=True):
        rows = groups[groups["kind"].isin(kinds) & (groups["figure"] == name)]
        names = rows[["kind", "group", "n"]].drop_duplicates(["kind", "group"]).to_dict("records")
        for line, group in enumerate(names):
            of = rows[(rows["kind"] == group["kind"]) & (rows["group"] == group["group"])].set_index("method")
            for place, method in enumerate(methods):
                at = line + 0.7 * ((place + 0.5) / len(methods) - 0.5)
                _dot(axes, at, of.loc[method].to_dict(), mark_of(place) | {"label": label_of(method)} | SMALL)
        texts = [f"{group_text(group['kind'], group['group'])} ({group['n']})" for group in names]
        axes.set_yticks(range(len(names)), texts)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_title(title, fontsize=10, loc="left")
        axes.grid(visible=False, axis="y")
        handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
        if handles and name == GROUPS[0][2]:
            axes.legend(handles.values(), handles.keys(), fontsize=8)
