"""Figures of the evaluation: ROC, PR, calibration, confusion, severity against height loss, sensitivity by level.

Each function returns a matplotlib Figure of the test split, for one method or for several side by side. Colours are
Okabe and Ito's, and methods differ in dash as well.
"""

from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from vertegrade.evaluation.texts import estimate_text
from vertegrade.methods import METHODS
from vertegrade.plotting import COLOURS, MARKERS, NOTICE, STYLE

DASHES = ["-", "--", "-.", ":"]
Metrics = dict[str, dict[str, Any]]
Cases = dict[str, pd.DataFrame]


def all_figures(cases: Cases, metrics: Metrics) -> dict[str, Figure]:
    """Every figure by name. cases: by method the labelled cases of the test split; metrics: by method metrics.json."""
    with matplotlib.rc_context(STYLE):
        return {
            "roc": roc_figure(cases, metrics),
            "pr": pr_figure(cases, metrics),
            "calibration": calibration_figure(metrics),
            "confusion": confusion_figure(metrics),
            "height_loss": height_loss_figure(cases, metrics),
            "levels": level_figure(metrics),
        }


def _figure(panels: int = 1, size: tuple[float, float] = (5.2, 5.0)) -> tuple[Figure, list[Axes]]:
    room_for_notice = ConstrainedLayoutEngine(rect=(0, 0.045, 1, 0.94))
    figure = Figure(figsize=(size[0] * panels, size[1]), layout=room_for_notice)
    figure.text(0.5, 0.012, NOTICE, ha="center", fontsize=8, color="#4a5560")
    return figure, list(figure.subplots(1, panels, squeeze=False)[0])


def _line(index: int) -> dict[str, Any]:
    return {"color": COLOURS[index % len(COLOURS)], "linestyle": DASHES[index % len(DASHES)], "linewidth": 2}


def _marker(index: int) -> dict[str, Any]:
    return {"color": COLOURS[index % len(COLOURS)], "marker": MARKERS[index % len(MARKERS)]}


def _empty(axes: Axes, text: str) -> None:
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color="#4a5560")


def _unit_square(axes: Axes, x: str, y: str) -> None:
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal", xlabel=x, ylabel=y)


def _scored(table: pd.DataFrame, metrics: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Truth and severity of the evaluable vertebrae."""
    graded = table[table["evaluable"]]
    return (graded["genant_grade"] >= metrics["fracture_grade"]).to_numpy(), graded["severity"].to_numpy()


def roc_figure(cases: Cases, metrics: Metrics) -> Figure:
    """ROC curves of the severity with the operating point (graded as a fracture)."""
    from sklearn.metrics import roc_curve  # takes a second; most rules need not wait for it

    figure, (axes,) = _figure()
    for index, (method, table) in enumerate(cases.items()):
        test = metrics[method]["splits"]["test"]["vertebra"]
        fractured, severity = _scored(table, metrics[method])
        if test["auc"]["value"] is None:
            continue
        false, true, _ = roc_curve(fractured, severity)
        axes.plot(false, true, **_line(index), label=f"{METHODS[method].label}: AUC {estimate_text(test['auc'], 3)}")
        if test["sensitivity"]["value"] is not None and test["specificity"]["value"] is not None:
            point = (1 - test["specificity"]["value"], test["sensitivity"]["value"])
            axes.plot(*point, **_marker(index), linestyle="none", markersize=9, markeredgecolor="white")
    axes.plot([0, 1], [0, 1], color="#9aa5b1", linewidth=1)
    _unit_square(axes, "1 − specificity", "Sensitivity")
    axes.set_title("ROC, vertebrae of the test split")
    _legend(axes)
    return figure


def pr_figure(cases: Cases, metrics: Metrics) -> Figure:
    """Precision-recall curves of the severity; the grey line is the prevalence, what chance would reach."""
    from sklearn.metrics import precision_recall_curve

    figure, (axes,) = _figure()
    for index, (method, table) in enumerate(cases.items()):
        cell = metrics[method]["splits"]["test"]["vertebra"]["pr_auc"]
        fractured, severity = _scored(table, metrics[method])
        if cell["value"] is None:
            continue
        precision, recall, _ = precision_recall_curve(fractured, severity)
        label = f"{METHODS[method].label}: AP {estimate_text(cell, 3)}"
        axes.step(recall, precision, where="post", **_line(index), label=label)
        axes.axhline(fractured.mean(), color="#9aa5b1", linewidth=1)
    _unit_square(axes, "Recall (sensitivity)", "Precision")
    axes.set_title("Precision and recall, vertebrae of the test split")
    _legend(axes)
    return figure


def _legend(axes: Axes) -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower left" if "Precision" in axes.get_ylabel() else "lower right")
    else:
        _empty(axes, "Undefined:\ntoo few labelled vertebrae of both classes")


def calibration_figure(metrics: Metrics) -> Figure:
    """Observed share of fractures against the predicted probability, in bins of equal size, with intervals."""
    figure, (axes,) = _figure()
    axes.plot([0, 1], [0, 1], color="#9aa5b1", linewidth=1)
    for index, (method, block) in enumerate(metrics.items()):
        test = block["splits"]["test"]
        bins = [row for row in test["calibration"] if row["value"] is not None]
        if not bins:
            continue
        x, y = (np.array([row[key] for row in bins]) for key in ("predicted", "value"))
        ends = [[row["value"] if row[key] is None else row[key] for row in bins] for key in ("low", "high")]
        label = f"{METHODS[method].label}: Brier {estimate_text(test['vertebra']['brier'], 3)}"
        errors = np.abs(np.array(ends) - y)
        axes.errorbar(x, y, yerr=errors, capsize=3, label=label, **_marker(index) | _line(index))
    _unit_square(axes, "Predicted probability of fracture", "Observed share of fractures")
    axes.set_title("Calibration, vertebrae of the test split")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper left")
    else:
        _empty(axes, "No labelled vertebrae")
    return figure


def confusion_figure(metrics: Metrics) -> Figure:
    """Confusion matrices: counts, coloured by the share of their row (the recall of each true grade)."""
    figure, panels = _figure(len(metrics), (4.4, 4.6))
    for axes, (method, block) in zip(panels, metrics.items(), strict=True):
        test = block["splits"]["test"]
        counts = np.array(test["confusion"])
        rows = np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axes.grid(False)
        axes.imshow(counts / rows, cmap="Blues", vmin=0, vmax=1)
        for true, called in np.ndindex(4, 4):
            part = counts[true, called] / rows[true, 0]
            text = f"{counts[true, called]}\n{100 * part:.0f} %" if counts[true].sum() else "–"
            axes.text(called, true, text, ha="center", va="center", color="white" if part > 0.62 else "#1b2733")
        axes.set(xticks=range(4), yticks=range(4), xlabel="Predicted grade", ylabel="True grade (Genant)")
        kappa = estimate_text(test["vertebra"]["qwk"])
        axes.set_title(f"{METHODS[method].label}: weighted κ {kappa}", fontsize=10)
    return figure


def height_loss_figure(cases: Cases, metrics: Metrics) -> Figure:
    """Severity against true height loss where known; dotted lines are Genant's limits (20, 25 and 40 %)."""
    figure, panels = _figure(len(cases), (4.6, 4.4))
    for axes, (method, table) in zip(panels, cases.items(), strict=True):
        known = table[table["evaluable"] & table["height_loss"].notna()]
        for limit in (20, 25, 40):
            axes.axvline(limit, color="#5b6672", linestyle=":", linewidth=1)
        for grade, colour in enumerate(("#9aa5b1", "#56B4E9", "#E69F00", "#D55E00")):
            of_grade = known[known["genant_grade"] == grade]
            label = f"grade {grade} (n = {len(of_grade)})"
            x, y = 100 * of_grade["height_loss"], of_grade["severity"]
            axes.scatter(x, y, s=14, c=colour, marker=MARKERS[grade], label=label, alpha=0.8, linewidths=0)
        cell = metrics[method]["splits"]["test"]["vertebra"]["spearman_height_loss"]
        axes.set_title(f"{METHODS[method].label}: Spearman {estimate_text(cell)}", fontsize=10)
        axes.set(xlabel="True height loss (%)", ylabel="Predicted severity", ylim=(-0.1, 3.1), xlim=(-2, 65))
        if len(known):
            axes.legend(loc="lower right", title="True grade", title_fontsize=9)
        else:
            _empty(axes, "True height loss is known\nfor phantoms only")
    return figure


def level_figure(metrics: Metrics) -> Figure:
    """Sensitivity for fractures by vertebral level with intervals; numbers of fractures below."""
    figure, (axes,) = _figure(1, (9.0, 4.2))
    levels = list(dict.fromkeys(name for block in metrics.values() for name in block["splits"]["test"]["by_level"]))
    levels.sort(key=lambda name: ("CTL".index(name[0]), int(name[1:])))
    for index, (method, block) in enumerate(metrics.items()):
        strata = block["splits"]["test"]["by_level"]
        cells = [(at, strata[name]["sensitivity"]) for at, name in enumerate(levels) if name in strata]
        cells = [(at, cell) for at, cell in cells if cell["value"] is not None]
        x = np.array([at for at, _ in cells]) + 0.16 * (index - (len(metrics) - 1) / 2)
        y = np.array([cell["value"] for _, cell in cells])
        ends = [[cell["value"] if cell[end] is None else cell[end] for _, cell in cells] for end in ("low", "high")]
        errors, label = np.abs(np.array(ends) - y), METHODS[method].label
        axes.errorbar(x, y, yerr=errors, capsize=2, label=label, linestyle="none", **_marker(index))
    first = next(iter(metrics.values()))["splits"]["test"]["by_level"] if metrics else {}
    fractures = [first[name]["counts"]["fractured"] if name in first else 0 for name in levels]
    axes.set_xticks(range(len(levels)), [f"{name}\n{n}" for name, n in zip(levels, fractures, strict=True)])
    axes.set(ylim=(-0.03, 1.05), ylabel="Sensitivity", xlabel="Level, and number of fractures")
    axes.set_title("Sensitivity by level (levels with too few fractures are left out)")
    if levels:
        axes.legend(loc="lower left", ncols=len(metrics))
    else:
        _empty(axes, "No labelled vertebrae")
    return figure
