"""The headline: which method to trust is said by paired intervals, never by figures side by side."""

import pandas as pd
import pytest

from helpers.synthetic_predictions import make_cohort
from vertegrade.evaluation.comparison.cases import cases_of
from vertegrade.evaluation.comparison.measures import comparison_table
from vertegrade.report.headline import method_cards, pair_rows, trust
from vertegrade.settings.evaluation import EvaluationSettings

METHODS = ("dae", "pca", "keypoints")
Interval = tuple[float, float | None, float | None]
WIDE, UP, DOWN, NONE = (0.05, -0.01, 0.1), (0.05, 0.01, 0.1), (-0.05, -0.1, -0.01), (0.05, None, None)


def comparison(first: Interval, second: Interval, third: Interval, patients: int = 40, **auc: float) -> pd.DataFrame:
    """COMPARISON of DAE - PCA, DAE - Keypoints and PCA - Keypoints."""
    known = {"data": "this run", "unit": "vertebra", "n": 99, "patients": patients}
    figures = ("auc", "sensitivity", "specificity")
    rows = [
        {"method": name, "minus": "", "figure": figure, "value": auc.get(name, 0.9), "low": 0.8, "high": 0.95}
        for name in METHODS
        for figure in figures
    ]
    pairs = {("dae", "pca"): first, ("dae", "keypoints"): second, ("pca", "keypoints"): third}
    for (one, other), (value, low, high) in pairs.items():
        named = {"method": one, "minus": other, "value": value, "low": low, "high": high}
        rows += [named | {"figure": figure} for figure in figures]
    return pd.DataFrame([known | row for row in rows])


def test_the_one_that_beats_all_others_is_named() -> None:
    text = trust(comparison(UP, UP, WIDE), 0.95)
    assert text.startswith("Trust DAE: it ranks vertebrae better than PCA and Keypoints. The 95 % interval")
    assert trust(comparison(WIDE, DOWN, DOWN), 0.95).startswith("Trust Keypoints: ")


def test_an_interval_that_contains_0_names_nobody_however_far_apart_the_figures_are() -> None:
    text = trust(comparison(WIDE, WIDE, WIDE, dae=0.99, pca=0.51), 0.95)
    assert text.startswith("No method can be trusted above all others.")
    assert "DAE and PCA (difference +0.050, −0.010 to +0.100)" in text
    assert "better than" not in text


def test_ties_at_the_top_are_told_with_who_is_worse() -> None:
    text = trust(comparison(UP, WIDE, DOWN), 0.9)
    assert "The 90 % interval" in text
    assert "cannot be told apart: DAE and Keypoints (difference" in text
    assert "DAE and PCA" not in text
    assert "None ranks vertebrae better than DAE or Keypoints beyond chance." in text
    assert text.endswith("Beyond chance, DAE ranks vertebrae better than PCA; Keypoints better than PCA.")


def test_without_intervals_or_rivals_nobody_is_better() -> None:
    assert trust(comparison(NONE, NONE, NONE), 0.95).startswith("There are too few cases")
    assert trust(comparison(UP, UP, UP, patients=4), 0.95).startswith("Fewer than 5 patients")
    alone = comparison(UP, UP, UP)
    assert trust(alone[(alone["method"] == "dae") & (alone["minus"] == "")], 0.95).startswith(
        "There is only one method"
    )


@pytest.mark.parametrize("low", [0.0, -0.0])
def test_an_interval_that_ends_at_0_contains_it(low: float) -> None:
    assert "cannot be told apart: DAE and PCA" in trust(comparison((0.05, low, 0.1), UP, UP), 0.95)


def test_the_table_of_the_evaluation_is_what_is_read() -> None:
    cohort, settings = make_cohort(30, noise=(0.05, 3.0)), EvaluationSettings(bootstrap_resamples=100)
    table = comparison_table(cases_of({"dae": cohort.dae, "pca": cohort.pca}, cohort.tables()), settings, 1, 7)
    assert trust(table, 0.95).startswith("Trust DAE: it ranks vertebrae better than PCA.")
    (row,) = pair_rows(table)
    assert row["name"] == "DAE − PCA"
    assert all(cell.startswith("+") for cell in row["cells"])
    assert len(row["cells"]) == 3


def test_each_method_has_its_figures_with_intervals_and_what_it_graded() -> None:
    cell = {"value": 0.98, "low": 0.96, "high": 0.99}
    test = {
        "counts": {"vertebrae_evaluated": 439, "vertebrae_labelled": 450},
        "vertebra": {"auc": cell, "sensitivity": cell | {"low": None}, "specificity": cell | {"value": None}},
    }
    (card,) = method_cards({"keypoints": {"splits": {"test": test}}})
    assert (card["method"], card["graded"]) == ("Keypoints", "graded 439 of 450 vertebrae")
    named = [("ROC AUC", "0.98", "0.96–0.99"), ("Sensitivity", "0.98", ""), ("Specificity", "n/a", "")]
    assert card["figures"] == named
