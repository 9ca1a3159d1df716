"""Drawn beside bent vertebrae: the picture, the table and the sentence of the cohort's page."""

from typing import Any

import numpy as np
import pytest

from helpers.synthetic_predictions import make_cohort
from vertegrade.plotting import save_figure
from vertegrade.report.rival_table import rival_rows, rival_verdict
from vertegrade.report.rivals import rivals_figure
from vertegrade.report.spread import spread_by_severity
from vertegrade.settings.report import ReportSettings


def estimate(value: float | None, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "n": 40, "skipped": 0}


def figures(drawn: dict[str, Any], bent: dict[str, Any]) -> dict[str, Any]:
    few = {"cases": [3, 3], "patients": [1, 1], "why": "fewer than 10 patients have one"}
    told = {
        "dae": {"intact": few, "fractured": {"texture": drawn, "picture": estimate(0.5, 0.4, 0.6)}},
        "warp": {"intact": few, "fractured": {"texture": bent, "picture": estimate(0.4, 0.3, 0.5)}},
    }
    return {kind: {"loss_error": 0.034, "told_from_ct": of} for kind, of in told.items()}


@pytest.mark.parametrize(
    ("drawn", "bent", "says"),
    [
        (estimate(1.0), estimate(0.7, 0.6, 0.8), "look less like CT"),
        (estimate(0.95, 0.9, 0.99), estimate(0.7, 0.6, 0.8), "look less like CT"),
        (estimate(0.6, 0.55, 0.65), estimate(0.9, 0.8, 0.95), "look more like CT"),
        (estimate(0.8, 0.7, 0.9), estimate(0.7, 0.6, 0.8), "overlap"),
        (estimate(None), estimate(None), "overlap"),  # the other classifier still tells
    ],
)
def test_the_sentence_follows_the_intervals(drawn: dict[str, Any], bent: dict[str, Any], says: str) -> None:
    assert says in rival_verdict(figures(drawn, bent))


def test_too_few_patients_make_no_sentence() -> None:
    few = {"cases": [3, 3], "patients": [1, 1], "why": "fewer than 10 patients have one"}
    of = {"loss_error": None, "told_from_ct": {"intact": few, "fractured": few}}
    assert rival_verdict({"dae": of, "warp": of}) == ""
    assert rival_rows({"dae": of, "warp": of})[0]["cells"] == ["n/a"] * 5


def test_rows_are_error_then_grade_0_then_fractured() -> None:
    rows = rival_rows(figures(estimate(0.95, 0.9, 0.99), estimate(0.7, 0.6, 0.8)))
    assert [row["name"] for row in rows] == ["Drawn by the model", "The crop, bent"]
    assert rows[0]["cells"] == ["3.4 points", "n/a", "n/a", "0.95 (0.90–0.99)", "0.50 (0.40–0.60)"]


@pytest.mark.parametrize("count", [0, 2])
def test_the_figure_is_drawn(count: int, tmp_path) -> None:
    rows = spread_by_severity(make_cohort(20).dae, count).reset_index(drop=True)
    images = np.zeros((count, 3, 64, 64), np.int16)
    figure = rivals_figure(images, rows, ["grade 3, wedge"] * count, ReportSettings())
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts.count("grade 3, wedge") == count
    assert {"CT", "Drawn by the model", "The crop, bent"} <= set(texts)
    save_figure(figure, tmp_path / "rivals.png")
