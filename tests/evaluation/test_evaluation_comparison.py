"""All methods side by side: DeLong against a slow direct computation, the same vertebrae, what is left out by whom."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from helpers.synthetic_predictions import make_cohort
from vertegrade.evaluation.cases import EvaluationError, labelled_cases, split_cases
from vertegrade.evaluation.comparison.cases import cases_of, cases_table, left_out_table
from vertegrade.evaluation.comparison.delong import contrast, delong, interval
from vertegrade.evaluation.comparison.measures import comparison_table
from vertegrade.evaluation.comparison.published import PUBLISHED
from vertegrade.evaluation.comparison.tables import OTHER_DATA, PATIENTS, THIS_RUN, VERTEBRAE
from vertegrade.evaluation.evaluate import compare
from vertegrade.settings.evaluation import EvaluationSettings
from vertegrade.tables import KEY

SETTINGS = EvaluationSettings(bootstrap_resamples=100)
COHORT = make_cohort(40)


def ungraded(predictions: pd.DataFrame, share: int) -> pd.DataFrame:
    """Predictions without every `share`th test vertebra that was graded."""
    lost = predictions["evaluable"] & (predictions["split"] == "test")
    lost &= (lost.cumsum() % share) == 0
    return predictions.assign(
        evaluable=predictions["evaluable"] & ~lost,
        reason=predictions["reason"].where(~lost, "no_points"),
        grade=predictions["grade"].where(~lost, -1),
        severity=predictions["severity"].where(~lost),
    )


POINTS = ungraded(COHORT.pca, 5).assign(method="keypoints")
ALL = {"dae": COHORT.dae, "pca": COHORT.pca, "keypoints": POINTS}


@pytest.fixture(scope="module")
def cases() -> dict[str, pd.DataFrame]:
    return cases_of(ALL, COHORT.tables())


@pytest.fixture(scope="module")
def table(cases: dict[str, pd.DataFrame]) -> pd.DataFrame:
    return comparison_table(cases, SETTINGS, 1, 7)


def cell(table: pd.DataFrame, method: str, unit: str, figure: str, minus: str = "") -> Any:
    wanted = {"method": method, "minus": minus, "unit": unit, "figure": figure, "data": THIS_RUN}
    (row,) = table[(table[[*wanted]] == pd.Series(wanted)).all(axis=1)].to_dict("records")
    return row


def slow_delong(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """By each pair of a positive and a negative, as the paper's equations 4 to 6 say."""
    ones, zeros = scores[:, positive], scores[:, ~positive]
    wins = (ones[:, :, None] > zeros[:, None]) + 0.5 * (ones[:, :, None] == zeros[:, None])
    areas = wins.mean(axis=(1, 2))
    of_ones, of_zeros = wins.mean(axis=2) - areas[:, None], wins.mean(axis=1) - areas[:, None]
    m, n = ones.shape[1], zeros.shape[1]
    return areas, of_ones @ of_ones.T / (m - 1) / m + of_zeros @ of_zeros.T / (n - 1) / n


@pytest.mark.parametrize("seed", range(5))
def test_delong_is_the_slow_direct_computation_with_ties(seed: int) -> None:
    rng = np.random.default_rng(seed)
    positive = rng.random(60) < 0.3
    scores = np.round(rng.normal(size=(3, 60)) + positive * rng.uniform(0, 2, (3, 1)), 1)
    areas, covariance = delong(scores, positive)
    wanted, of_pairs = slow_delong(scores, positive)
    assert np.allclose(areas, wanted, rtol=1e-12)
    assert np.allclose(areas, [roc_auc_score(positive, score) for score in scores])
    assert np.allclose(covariance, of_pairs, rtol=1e-9)
    assert contrast(covariance, 0, 2) == pytest.approx(of_pairs[0, 0] + of_pairs[2, 2] - 2 * of_pairs[0, 2])


def test_delong_without_enough_cases_is_unknown() -> None:
    assert np.isnan(delong(np.ones((1, 4)), np.full(4, True))[0]).all()
    areas, covariance = delong(np.array([[0.1, 0.2, 0.9]]), np.array([False, False, True]))
    assert areas[0] == 1
    assert np.isnan(covariance).all()
    assert np.isnan(interval(1.0, 0.0, 0.95, (0, 1))).all()


def test_an_interval_ends_where_an_area_does() -> None:
    low, high = interval(0.98, 0.02**2, 0.95, (0, 1))
    assert (low, high) == (pytest.approx(0.98 - 1.96 * 0.02, abs=1e-4), 1)


def test_vertebrae_are_compared_that_every_method_graded(cases: dict[str, pd.DataFrame]) -> None:
    everything = cases_table(cases)
    graded = everything.groupby(KEY)["evaluable"].all()
    compared = everything[everything["compared"]]
    assert set(compared.groupby("method").size()) == {int(graded.sum())}
    assert set(map(tuple, compared[KEY].to_numpy())) == set(graded[graded].index)
    assert 0 < graded.sum() < (cases["dae"]["evaluable"]).sum()


def test_who_left_out_what_is_told(cases: dict[str, pd.DataFrame]) -> None:
    left = left_out_table(cases)
    points = left[(left["method"] == "keypoints") & (left["reason"] == "no_points")].iloc[0]
    lost = cases["dae"]["evaluable"] & ~cases["keypoints"]["evaluable"]
    assert points["vertebrae"] == points["alone"] == lost.sum() > 0
    assert (left.loc[left["method"] != "keypoints", "alone"] == 0).all()
    totals = left.groupby("method")["vertebrae"].sum()
    for method, rows in cases.items():
        assert totals[method] == (~rows["evaluable"]).sum()


def test_figures_are_of_the_compared_vertebrae(cases: dict[str, pd.DataFrame], table: pd.DataFrame) -> None:
    for method, rows in cases.items():
        same = rows[rows["compared"]]
        row = cell(table, method, VERTEBRAE, "auc")
        assert row["value"] == pytest.approx(roc_auc_score(same["genant_grade"] >= 1, same["severity"]))
        assert row["n"] == len(same)
        assert row["low"] < row["value"] < row["high"]
        assert row["delong_low"] < row["value"] < row["delong_high"]
        assert cell(table, method, VERTEBRAE, "graded")["value"] == pytest.approx(rows["evaluable"].mean())
        assert cell(table, method, VERTEBRAE, "mae")["value"] == pytest.approx(
            (same["severity"] - same["genant_grade"]).abs().mean()
        )


def test_differences_are_those_of_the_methods_and_of_compare(table: pd.DataFrame) -> None:
    pair = cell(table, "dae", VERTEBRAE, "auc", "pca")
    one, other = (cell(table, method, VERTEBRAE, "auc") for method in ("dae", "pca"))
    assert pair["value"] == pytest.approx(one["value"] - other["value"])
    assert pair["high"] - pair["low"] < (one["high"] - one["low"]) + (other["high"] - other["low"])
    assert pair["delong_low"] < pair["value"] < pair["delong_high"]
    two = comparison_table(cases_of({"dae": COHORT.dae, "pca": COHORT.pca}, COHORT.tables()), SETTINGS, 1, 7)
    known = compare(COHORT.dae, COHORT.pca, COHORT.tables(), SETTINGS, 1, 7, ("dae", "pca"))
    for figure in ("auc", "sensitivity", "specificity", "macro_f1", "mae", "spearman_height_loss"):
        assert cell(two, "dae", VERTEBRAE, figure, "pca")["value"] == pytest.approx(known["vertebra"][figure]["value"])
    assert set(table.loc[table["minus"] != "", "minus"]) == {"pca", "keypoints"}


def test_a_method_against_its_copy_differs_by_nothing() -> None:
    twins = {"dae": COHORT.dae, "pca": COHORT.dae.assign(method="pca")}
    found = comparison_table(cases_of(twins, COHORT.tables()), SETTINGS, 1, 7)
    rows = found[(found["minus"] != "") & found["value"].notna()]
    assert (rows["value"] == 0).all()
    assert rows["low"].isna().all()


def test_a_fracture_that_not_all_graded_makes_its_patient_positive(cases: dict[str, pd.DataFrame]) -> None:
    """As in a clinic: a patient is not healthy because a method did not see the fracture."""
    rows = cases["dae"]
    ill = rows[rows["genant_grade"] >= 1].groupby("patient_id")["compared"].any()
    partly = rows[rows["patient_id"] == ill.index[0]].index
    hidden = {
        name: table.assign(compared=table["compared"] & ~(table.index.isin(partly) & (table["genant_grade"] >= 1)))
        for name, table in cases.items()
    }
    before = cell(comparison_table(cases, SETTINGS, 1, 7), "dae", PATIENTS, "sensitivity")["n"]
    assert cell(comparison_table(hidden, SETTINGS, 1, 7), "dae", PATIENTS, "sensitivity")["n"] == before


def test_figures_of_papers_are_marked_and_have_their_source(table: pd.DataFrame) -> None:
    others = table[table["data"] == OTHER_DATA]
    assert len(others) == len(PUBLISHED)
    assert (others["source"].str.len() > 20).all()
    assert others["low"].isna().all()
    assert not others["method"].str.contains("Keicher").any()  # what could not be read is not printed
    assert not (others["value"] == 0.956).any()  # of no paper's abstract, though often copied
    assert (table.loc[table["data"] == THIS_RUN, "source"] == "").all()


def test_one_method_has_figures_and_no_difference() -> None:
    found = comparison_table(cases_of({"dae": COHORT.dae}, COHORT.tables()), SETTINGS, 1, 7)
    assert (found["minus"] == "").all()
    assert (
        cell(found, "dae", VERTEBRAE, "auc")["n"]
        == split_cases(labelled_cases(COHORT.dae, COHORT.tables()), "test")["evaluable"].sum()
    )
    with pytest.raises(EvaluationError, match="no method"):
        cases_of({}, COHORT.tables())
