"""Which charts a cohort has, each with its figures and what they show in words; or why it has none."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from vertegrade.report.charts import specs
from vertegrade.report.charts.latent_map import LatentMap

NO_LABELS = "It is left out: no test vertebra has both a true grade and a predicted one."
NO_INTERVALS = "It is left out: no test vertebra has a predicted interval."
NO_MAP = "It is left out: there are too few training vertebrae with latents to draw a map of."
LOSS_BANDS = ((-np.inf, 20), (20, 25), (25, 40), (40, np.inf))


@dataclass(frozen=True)
class Figure:
    """One figure of a chart: the file's name, the method's name for people, what else tells it from the chart's others,
    its specification, and what it shows in words."""

    name: str
    method: str
    against: str
    spec: dict[str, Any]
    words: str


@dataclass(frozen=True)
class Chart:
    """A chart of the page. nearest: whether a reader points at the nearest vertebra (`xy`) or column (`x`)."""

    name: str
    title: str
    text: str
    nearest: str
    figures: list[Figure]
    why_not: str

    def to_dict(self) -> dict[str, Any]:
        """For JSON; the specifications are files of their own."""
        figures = [{k: v for k, v in vars(figure).items() if k != "spec"} for figure in self.figures]
        return vars(self) | {"figures": figures, "why_not": "" if self.figures else self.why_not}


def all_charts(drawn: pd.DataFrame, methods: Mapping[str, str], places: LatentMap | None, phantom: bool) -> list[Chart]:
    """The charts of `drawn_vertebrae`. methods: names for people. places: the map of the first method's latents."""

    def each(make: Callable[..., list[Figure]]) -> list[Figure]:
        return [figure for method, label in methods.items() for figure in make(drawn, method, label, phantom)]

    main, label = next(iter(methods.items()))
    return [
        Chart(
            "severity",
            "Severity against the truth",
            "Each point is a vertebra of the test split. In the shaded areas the rounded severity is the true grade. "
            "Dotted lines are Genant's limits of 20, 25 and 40 %.",
            "xy",
            each(_severity),
            NO_LABELS,
        ),
        Chart(
            "intervals",
            "Severity with intervals",
            "Each line is the predicted interval of a test vertebra, its dot the severity. A cross is a true grade "
            "outside of the interval.",
            "x",
            each(_intervals),
            NO_INTERVALS,
        ),
        Chart(
            "latents",
            f"Latent space of {label}",
            "Each point is a vertebra as the encoder sees it. To the right: the signed distance to the hyperplane (the "
            "broken line), which grades follow; fractures are to the right of it. Upwards: of what is left, the "
            "direction in which training vertebrae differ most. Training vertebrae are faint: the plane was fitted to "
            "them.",
            "xy",
            _map(drawn, main, label, places, phantom) if places else [],
            NO_MAP,
        ),
    ]


def _severity(drawn: pd.DataFrame, method: str, label: str, phantom: bool) -> list[Figure]:
    rows, known = specs.labelled(drawn, method), specs.of_known_loss(drawn, method)
    figures = []
    if len(rows):
        spec = specs.severity_spec(drawn, method, label, phantom)
        words = f"{label}, median severity by true grade: {_by_grade(rows, rows[f'severity_{method}'])}."
        figures.append(Figure(f"severity_{method}", label, "true grade", spec, words))
    if len(known):
        spec = specs.loss_spec(drawn, method, label, phantom)
        words = f"{label}, median severity by true loss of height: {_by_loss(known, method)}."
        figures.append(Figure(f"loss_{method}", label, "true loss of height", spec, words))
    return figures


def _intervals(drawn: pd.DataFrame, method: str, label: str, phantom: bool) -> list[Figure]:
    rows = specs.in_order(drawn, method)
    if rows.empty:
        return []
    low, high = rows[f"severity_low_{method}"], rows[f"severity_high_{method}"]
    labelled = rows["genant_grade"].notna()
    outside = ((rows["genant_grade"] < low) | (rows["genant_grade"] > high)).sum()
    words = (
        f"{label}: {len(rows)} intervals, {(high - low).mean():.2f} grades wide on average; {outside} of "
        f"{labelled.sum()} true grades lie outside of theirs."
    )
    spec = specs.interval_spec(drawn, method, label, phantom)
    return [Figure(f"intervals_{method}", label, "", spec, words)]


def _map(drawn: pd.DataFrame, method: str, label: str, places: LatentMap, phantom: bool) -> list[Figure]:
    distance = pd.Series(places.places[:, 0], index=drawn.index)
    test = drawn[(drawn["split"] == "test") & distance.notna()]
    words = (
        f"{label}, median signed distance of test vertebrae by true grade: {_by_grade(test, distance[test.index])}. "
        f"Of the variance of the latents, {100 * places.along:.0f} % lies along the first axis, and "
        f"{100 * places.across:.0f} % along the second."
    )
    return [Figure(f"latents_{method}", label, "", specs.map_spec(drawn, places, label, phantom), words)]


def _by_grade(rows: pd.DataFrame, values: pd.Series) -> str:
    """Medians by true grade."""
    parts = []
    for grade in range(4):
        of_grade = values[rows["genant_grade"] == grade]
        parts.append(f"{of_grade.median():.2f} of grade {grade} (n = {len(of_grade)})" if len(of_grade) else "")
    return ", ".join(filter(None, parts)).replace("-", "−") or "no true grade is known"


def _by_loss(rows: pd.DataFrame, method: str) -> str:
    """Medians by Genant's limits."""
    loss, parts = 100 * rows["height_loss"], []
    for low, high in LOSS_BANDS:
        band = rows.loc[(loss >= low) & (loss < high), f"severity_{method}"]
        name = f"below {high} %" if np.isinf(low) else f"from {low} %" if np.isinf(high) else f"at {low} to {high} %"
        parts.append(f"{band.median():.2f} {name} (n = {len(band)})" if len(band) else "")
    return ", ".join(filter(None, parts))
