"""Vega-Lite specifications of the charts. Each draws rows of `drawn_vertebrae`, which its values name by `i`.

A specification has its values in it, so that its file is a whole figure. The parameter `current` is the vertebra that a
reader points at; the page sets it, and a ring shows it.
"""

from typing import Any

import numpy as np
import pandas as pd

from vertegrade.plotting import NOTICE
from vertegrade.report.charts.latent_map import LatentMap
from vertegrade.report.charts.rows import grade_name
from vertegrade.report.montage import GRADE_COLOURS

Spec = dict[str, Any]

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"  # names the language; nothing is loaded from there
UNKNOWN = "unknown"
UNKNOWN_COLOUR = "#1b2733"
GRADE_SHAPES = ["circle", "square", "triangle-up", "diamond"]
SPLIT_SHAPES = {"test": "circle", "validation": "square", "train": "triangle-up"}
INK, SOFT, LINE, PALE = "#1b2733", "#4a5560", "#8b97a3", "#eef1f4"
LIMITS = (20, 25, 40)  # Genant's, in percent of a height
JITTER = 0.6  # of the distance between two grades: vertebrae of one grade lie beside each other
GOLDEN = (5**0.5 - 1) / 2
PHANTOMS = "; digital phantoms, nobody was scanned"
CONFIG = {
    "font": "Liberation Sans, Arial, Helvetica, sans-serif",
    "aria": False,  # the page tells of the chart in words, and of a vertebra beside it
    "axis": {"labelFontSize": 12, "titleFontSize": 13, "gridColor": "#e3e6ea", "labelColor": INK, "titleColor": INK},
    "legend": {
        "labelFontSize": 12,
        "titleFontSize": 12,
        "orient": "bottom",
        "symbolOpacity": 1,
        "layout": {"bottom": {"anchor": "start", "direction": "vertical"}},  # two side by side are too wide for a phone
    },
    "title": {"anchor": "start", "fontSize": 14, "subtitleFontSize": 11, "subtitleColor": SOFT, "color": INK},
    "view": {"stroke": None},
}
RING: Spec = {
    "transform": [{"filter": "datum.i === current"}],
    "mark": {"type": "point", "size": 260, "strokeWidth": 3, "color": INK, "filled": False},
}


def severity_spec(drawn: pd.DataFrame, method: str, label: str, phantom: bool) -> Spec:
    """Severity by a method against the true grade of test vertebrae; the areas are where the grade is right."""
    rows = labelled(drawn, method)
    beside = rows.groupby("genant_grade").cumcount().to_numpy()
    x = rows["genant_grade"].to_numpy() + JITTER * ((beside * GOLDEN) % 1 - 0.5)
    right = [{"x": g - 0.4, "x2": g + 0.4, "y": max(g - 0.5, 0), "y2": min(g + 0.5, 3)} for g in range(4)]
    area: Spec = {
        "data": {"values": right},
        "mark": {"type": "rect", "color": PALE},
        "encoding": {name: {"field": name, "type": "quantitative"} for name in ("x", "y")}
        | {name: {"field": name} for name in ("x2", "y2")},
    }
    axis = {"values": [0, 1, 2, 3], "format": "d", "grid": False}
    encoding = {"x": _axis("x", "True grade (points lie beside each other)", [-0.5, 3.5], axis), "y": _severity_axis()}
    values = _values(rows, {"x": x, "y": rows[f"severity_{method}"]})
    title = f"{label}: severity against true grade"
    return _spec(title, phantom, values, encoding, [area, _points(rows)])


def loss_spec(drawn: pd.DataFrame, method: str, label: str, phantom: bool) -> Spec:
    """Severity by a method against the true loss of height; lines are Genant's limits."""
    rows = of_known_loss(drawn, method)
    loss = 100 * rows["height_loss"]
    limits: Spec = {
        "data": {"values": [{"x": limit} for limit in LIMITS]},
        "mark": {"type": "rule", "color": LINE, "strokeDash": [3, 3]},
        "encoding": {"x": {"field": "x", "type": "quantitative"}, "y": {"value": 0}, "y2": {"value": "height"}},
    }
    encoding = {"x": _axis("x", "True loss of height (%)", [0, max(60, float(loss.max()))]), "y": _severity_axis()}
    values = _values(rows, {"x": loss, "y": rows[f"severity_{method}"]})
    title = f"{label}: severity against loss of height"
    return _spec(title, phantom, values, encoding, [limits, _points(rows)])


def interval_spec(drawn: pd.DataFrame, method: str, label: str, phantom: bool) -> Spec:
    """Intervals by a method of test vertebrae in the order of their severity; a cross is a true grade outside."""
    rows = in_order(drawn, method)
    ends = {"low": rows[f"severity_low_{method}"], "high": rows[f"severity_high_{method}"]}
    truth = rows["genant_grade"]
    values = _values(rows, {"x": np.arange(1, len(rows) + 1), "y": rows[f"severity_{method}"], **ends, "truth": truth})
    bar: Spec = {
        "mark": {"type": "rule", "strokeWidth": 1.5, "opacity": 0.7},
        "encoding": {"y": {"field": "low", "type": "quantitative"}, "y2": {"field": "high"}} | _colour(rows),
    }
    missed: Spec = {
        "transform": [{"filter": "datum.truth !== null && (datum.truth < datum.low || datum.truth > datum.high)"}],
        "mark": {"type": "point", "shape": "cross", "angle": 45, "size": 45, "filled": True},
        "encoding": {"y": {"field": "truth", "type": "quantitative"}} | _colour(rows),
    }
    dot: Spec = {"mark": {"type": "point", "filled": True, "size": 9, "opacity": 1, "color": INK}}
    title = "Test vertebrae, least severe first"
    encoding = {"x": _axis("x", title, [0, len(rows) + 1], {"grid": False}), "y": _severity_axis()}
    return _spec(f"{label}: severity with intervals", phantom, values, encoding, [bar, missed, dot])


def map_spec(drawn: pd.DataFrame, places: LatentMap, label: str, phantom: bool) -> Spec:
    """The latent map of all splits: colour is the true grade, shape the split; training vertebrae are faint."""
    x, y = places.places.T
    rows = drawn[np.isfinite(x)]
    values = _values(rows, {"x": x[rows.index], "y": y[rows.index]})
    for value, split in zip(values, rows["split"], strict=True):
        value["split"] = split
    values.sort(key=lambda value: -list(SPLIT_SHAPES).index(value["split"]))  # test vertebrae are drawn last, on top
    plane: Spec = {
        "data": {"values": [{"x": 0}]},
        "mark": {"type": "rule", "color": INK, "strokeDash": [4, 3]},
        "encoding": {"x": {"field": "x", "type": "quantitative"}, "y": {"value": 0}, "y2": {"value": "height"}},
    }
    shape = {
        "field": "split",
        "type": "nominal",
        "title": "Split",
        "scale": {"domain": list(SPLIT_SHAPES), "range": list(SPLIT_SHAPES.values())},
    }
    faint = {"condition": {"test": "datum.split === 'train'", "value": 0.25}, "value": 0.9}
    points: Spec = {
        "mark": {"type": "point", "filled": True, "size": 45},
        "encoding": {"shape": shape, "opacity": faint} | _colour(rows),
    }
    along, across = (f"({100 * share:.0f} %)" for share in (places.along, places.across))
    encoding = {
        "x": _axis("x", f"Distance to hyperplane {along}", _span(x)),
        "y": _axis("y", f"First component across it {across}", _span(y)),
    }
    return _spec(f"{label}: latent space", phantom, values, encoding, [plane, points], "All splits")


def in_order(drawn: pd.DataFrame, method: str) -> pd.DataFrame:
    """The test vertebrae that a method graded with an interval, least severe first."""
    known = drawn[(drawn["split"] == "test") & drawn[f"severity_low_{method}"].notna()]
    return known.sort_values(f"severity_{method}", kind="stable")


def labelled(drawn: pd.DataFrame, method: str) -> pd.DataFrame:
    """The test vertebrae with a true grade that a method graded."""
    return drawn[(drawn["split"] == "test") & drawn["genant_grade"].notna() & drawn[f"severity_{method}"].notna()]


def of_known_loss(drawn: pd.DataFrame, method: str) -> pd.DataFrame:
    """Those of `labelled` whose loss of height is known."""
    rows = labelled(drawn, method)
    return rows[rows["height_loss"].notna()]


def _values(rows: pd.DataFrame, columns: dict[str, Any]) -> list[dict[str, Any]]:
    """Values of a chart: which vertebra it is, its true grade, and these columns, None where unknown."""
    values: list[dict[str, Any]] = [
        {"i": int(index), "grade": grade_name(grade)}
        for index, grade in zip(rows.index, rows["genant_grade"], strict=True)
    ]
    for name, column in columns.items():
        for value, number in zip(values, np.asarray(column, dtype=np.float64), strict=True):
            value[name] = None if np.isnan(number) else round(float(number), 3)
    return values


def _grades(rows: pd.DataFrame) -> list[str]:
    return [*map(str, range(4)), *([UNKNOWN] if rows["genant_grade"].isna().any() else [])]


def _colour(rows: pd.DataFrame) -> Spec:
    """Colours by true grade."""
    grades = _grades(rows)
    scale = {"domain": grades, "range": [*GRADE_COLOURS, UNKNOWN_COLOUR][: len(grades)]}
    return {"color": {"field": "grade", "type": "nominal", "title": "True grade", "scale": scale}}


def _points(rows: pd.DataFrame) -> Spec:
    """Points by true grade: colour, and shape for whoever does not see it."""
    scale = {"domain": _grades(rows), "range": GRADE_SHAPES}
    shape = {"field": "grade", "type": "nominal", "title": "True grade", "scale": scale}
    mark = {"type": "point", "filled": True, "size": 50, "opacity": 0.8}
    return {"mark": mark, "encoding": {"shape": shape} | _colour(rows)}


def _span(numbers: np.ndarray) -> list[float]:
    """From the least to the largest number, with a margin."""
    low, high = np.nanmin(numbers), np.nanmax(numbers)
    margin = 0.04 * (high - low) or 1.0
    return [round(float(low - margin), 2), round(float(high + margin), 2)]


def _axis(field: str, title: str, domain: list[float], axis: Spec | None = None) -> Spec:
    scale = {"domain": domain, "nice": False}
    return {"field": field, "type": "quantitative", "title": title, "scale": scale, "axis": axis or {}}


def _severity_axis() -> Spec:
    return _axis("y", "Predicted severity", [0, 3], {"values": [0, 0.5, 1, 1.5, 2, 2.5, 3]})


def _spec(
    title: str,
    phantom: bool,
    values: list[dict[str, Any]],
    encoding: Spec,
    layer: list[Spec],
    whose: str = "Test split",
) -> Spec:
    return {
        "$schema": SCHEMA,
        "title": {"text": title, "subtitle": [f"{whose}{PHANTOMS if phantom else ''}", NOTICE]},
        "width": 760,
        "height": 420,
        "autosize": {"type": "fit", "contains": "padding"},
        "background": "white",
        "config": CONFIG,
        "params": [{"name": "current", "value": -1}],
        "data": {"values": values},
        "encoding": encoding,
        "layer": [*layer, RING],
    }
