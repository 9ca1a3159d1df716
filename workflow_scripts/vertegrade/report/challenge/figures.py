"""Figures of the challenge: severity and sensitivity against the true loss, by shape, region and scanner."""

from collections.abc import Mapping
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from vertegrade.methods import METHODS
from vertegrade.plotting import COLOURS, MARKERS, NOTICE, STYLE
from vertegrade.spine.heights import genant_severity

DASHES = ["-", "--", "-.", ":"]
SOFT = "#4a5560"
PANELS = 3  # beside each other
MOST_SCANNERS = 6  # with a panel of their own: those with most fractures
VIRTUAL = "VIRTUAL fractures. "


def all_figures(numbers: Mapping[str, Any], cases: pd.DataFrame) -> dict[str, Figure]:
    """Every figure by name. numbers: challenge.json. cases: VIRTUAL_CASES of all methods."""
    methods = numbers["methods"]
    scanners = _names(methods, "scanner")
    most = sorted(scanners, key=lambda name: (-scanners[name], name))[:MOST_SCANNERS]
    with matplotlib.rc_context(STYLE):
        return {
            "response_shape": _response(methods, "shape", list(_names(methods, "shape")), cases),
            "sensitivity_shape": _sensitivity(methods, "shape", list(_names(methods, "shape"))),
            "response_region": _response(methods, "region", list(_names(methods, "region")), cases),
            "response_scanner": _response(methods, "scanner", most, cases),
        }


def _names(methods: Mapping[str, Any], kind: str) -> dict[str, int]:
    """Groups of a kind, and how many fractures each has."""
    blocks = next(iter(methods.values()))[kind]
    return {name: block["counts"]["fractures"] for name, block in blocks.items()}


def _response(methods: Mapping[str, Any], kind: str, names: list[str], cases: pd.DataFrame) -> Figure:
    """Severity against true loss: each fracture as a dot, means of bands of loss with intervals, and the true one."""
    figure, panels = _panels(names, "Severity (Genant grade)", (-0.1, 3.1))
    for name, axes in zip(names, panels, strict=False):
        loss = np.linspace(0, 0.6, 200)
        axes.plot(100 * loss, genant_severity(loss), color="black", linewidth=1, label="true")
        for index, (method, blocks) in enumerate(methods.items()):
            chosen = cases[(cases["method"] == method) & (cases["kind"] == "fracture") & (cases[kind] == name)]
            axes.scatter(100 * chosen["height_loss"], chosen["severity"], s=12, alpha=0.45, **_dots(index))
            _bands(axes, blocks[kind][name]["bands"], "severity", index, METHODS[method].label)
    return _finished(figure, panels, names)


def _sensitivity(methods: Mapping[str, Any], kind: str, names: list[str]) -> Figure:
    """Share of the fractures that are graded as such, by band of true loss."""
    figure, panels = _panels(names, "Share noticed", (-0.03, 1.05))
    for name, axes in zip(names, panels, strict=False):
        for index, (method, blocks) in enumerate(methods.items()):
            _bands(axes, blocks[kind][name]["bands"], "sensitivity", index, METHODS[method].label)
    return _finished(figure, panels, names)


def _panels(names: list[str], label: str, limits: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    columns = 2 if len(names) == 4 else max(1, min(PANELS, len(names)))
    rows = max(1, -(-len(names) // columns))
    height = 3.2 * rows + 0.5
    room_for_notice = ConstrainedLayoutEngine(rect=(0, 0.25 / height, 1, 1 - 0.25 / height))
    figure = Figure(figsize=(3.9 * columns, height), layout=room_for_notice)
    figure.text(0.5, 0.08 / height, VIRTUAL + NOTICE, ha="center", fontsize=8, color=SOFT)
    panels = list(figure.subplots(rows, columns, squeeze=False, sharey=True).ravel())
    for axes in panels[: max(1, len(names))]:
        axes.set(xlim=(0, 62), ylim=limits, xlabel="True loss of height, %")
    for row in range(rows):
        panels[row * columns].set_ylabel(label)
    return figure, panels


def _dots(index: int) -> dict[str, Any]:
    return {"color": COLOURS[index % len(COLOURS)], "marker": MARKERS[index % len(MARKERS)], "linewidths": 0}


def _bands(axes: Axes, bands: list[dict[str, Any]], figure: str, index: int, label: str) -> None:
    """A method's value of each band of loss, with its interval, each method a little aside."""
    known = [band for band in bands if band[figure]["value"] is not None]
    x = np.array([50 * (band["from"] + band["to"]) for band in known]) + 0.7 * index
    y = np.array([band[figure]["value"] for band in known])
    ends = [[_end(band[figure], end) for band in known] for end in ("low", "high")]
    axes.errorbar(
        x,
        y,
        yerr=np.abs(np.array(ends).reshape(2, len(known)) - y),
        capsize=2,
        label=label,
        color=COLOURS[index % len(COLOURS)],
        marker=MARKERS[index % len(MARKERS)],
        linestyle=DASHES[index % len(DASHES)],
    )


def _end(cell: Mapping[str, Any], end: str) -> float:
    return float(cell["value"] if cell[end] is None else cell[end])


def _finished(figure: Figure, panels: list[Axes], names: list[str]) -> Figure:
    for axes, name in zip(panels, names, strict=False):
        for limit in (20, 25, 40):
            axes.axvline(limit, color="#9aa5b1", linewidth=0.8, linestyle=":")
        axes.set_title(name if len(name) < 30 else name.replace(", ", ",\n", 1), fontsize=10)
    for axes in panels[max(1, len(names)) :]:
        axes.set_axis_off()
    if names:
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=4, fontsize=9)
    else:
        panels[0].text(0.5, 0.5, "No virtual fracture", transform=panels[0].transAxes, ha="center", color=SOFT)
    return figure
