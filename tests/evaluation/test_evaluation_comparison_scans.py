"""A sequence model's own answer for whole scans beside the methods that grade vertebrae: same patients, same draws."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from helpers.synthetic_predictions import make_cohort, scan_scores, unread
from vertegrade.evaluation.cases import patient_cases
from vertegrade.evaluation.comparison.cases import cases_of
from vertegrade.evaluation.comparison.delong import contrast, delong
from vertegrade.evaluation.comparison.measures import comparison_table
from vertegrade.evaluation.comparison.tables import PATIENTS, SEQ2SEQ, VERTEBRAE, WHOLE_SCAN
from vertegrade.evaluation.scan_scores import ENSEMBLE, WholeScans, scan_metrics, whole_scans
from vertegrade.graders.seq2seq import scoring
from vertegrade.settings.evaluation import EvaluationSettings

SETTINGS = EvaluationSettings(bootstrap_resamples=100)
COHORT = make_cohort(40)
SCORES = scan_scores(COHORT)
METHODS = {"dae": COHORT.dae, SEQ2SEQ: COHORT.pca.assign(method=SEQ2SEQ)}
Tables = tuple[dict[str, pd.DataFrame], pd.DataFrame]


def compared(scans: WholeScans | None) -> Tables:
    cases = cases_of(METHODS, COHORT.tables(), scans)
    return cases, comparison_table(cases, SETTINGS, 1, 7, scans)


def scans_of(scores: pd.DataFrame) -> WholeScans:
    return whole_scans(scores, COHORT.labels, COHORT.splits, 1)


@pytest.fixture(scope="module")
def both() -> Tables:
    return compared(scans_of(SCORES))


def cell(table: pd.DataFrame, method: str, figure: str, minus: str = "", unit: str = PATIENTS) -> Any:
    wanted = {"method": method, "minus": minus, "unit": unit, "figure": figure}
    (row,) = table[(table[[*wanted]] == pd.Series(wanted)).all(axis=1)].to_dict("records")
    return row


def patients_of(cases: dict[str, pd.DataFrame], method: str) -> pd.DataFrame:
    """The compared patients, with the largest severity of their compared vertebrae."""
    table = cases[method]
    patients = patient_cases(table.assign(evaluable=table["compared"]), 1)
    return patients[patients["evaluable"]].set_index("patient_id")


def test_whole_scans_are_ranked_and_called_by_their_own_score(both: Tables) -> None:
    cases, table = both
    scans, patients = scans_of(SCORES), patients_of(cases, SEQ2SEQ)
    ensemble = SCORES[SCORES["network"] == "ensemble"].set_index("patient_id")
    p, ill = ensemble.loc[patients.index, "p_fracture"], patients["fractured"].to_numpy(bool)
    own = cell(table, WHOLE_SCAN, "auc")
    assert own["value"] == pytest.approx(roc_auc_score(ill, p))
    assert own["value"] != cell(table, SEQ2SEQ, "auc")["value"]
    assert own["low"] < own["value"] < own["high"]
    assert own["delong_low"] < own["value"] < own["delong_high"]
    known = scan_metrics(SCORES, COHORT.labels, COHORT.splits, SETTINGS, 1, 7)["networks"]["ensemble"]["p_fracture"]
    assert scans.threshold == known["threshold"] is not None
    assert cell(table, WHOLE_SCAN, "sensitivity")["value"] == pytest.approx((p[ill] >= scans.threshold).mean())
    assert cell(table, WHOLE_SCAN, "specificity")["value"] == pytest.approx((p[~ill] < scans.threshold).mean())
    assert set(table.loc[table["method"] == WHOLE_SCAN, "unit"]) == {PATIENTS}


@pytest.mark.parametrize("other", METHODS)
def test_differences_are_paired_on_the_same_patients(both: Tables, other: str) -> None:
    cases, table = both
    pair = cell(table, other, "auc", WHOLE_SCAN)
    one, whole = (cell(table, method, "auc") for method in (other, WHOLE_SCAN))
    assert pair["n"] == one["n"] == whole["n"]
    assert pair["value"] == pytest.approx(one["value"] - whole["value"])
    patients = patients_of(cases, other)
    scores = np.stack([patients["severity"], scans_of(SCORES).p_fracture.loc[patients.index]])
    areas, covariance = delong(scores, patients["fractured"].to_numpy(bool))
    reach = 1.959964 * np.sqrt(contrast(covariance, 0, 1))
    assert pair["delong_low"] == pytest.approx(areas[0] - areas[1] - reach)


def test_all_other_rows_are_as_without_whole_scans(both: Tables) -> None:
    cases, table = both
    assert all(cases[SEQ2SEQ]["patient_id"].isin(scans_of(SCORES).p_fracture.index)[cases[SEQ2SEQ]["compared"]])
    others = table[(table["method"] != WHOLE_SCAN) & (table["minus"] != WHOLE_SCAN)]
    pd.testing.assert_frame_equal(others.reset_index(drop=True), compared(None)[1])


def test_a_patient_whose_scans_could_not_be_read_is_compared_by_no_method(both: Tables) -> None:
    cases, before = both
    lost = patients_of(cases, SEQ2SEQ).index[0]
    less, table = compared(scans_of(unread(SCORES, lost)))
    assert not any(of.loc[of["patient_id"] == lost, "compared"].any() for of in less.values())
    for method in (*METHODS, WHOLE_SCAN):
        assert cell(table, method, "auc")["n"] == cell(before, method, "auc")["n"] - 1
    assert cell(table, "dae", "auc", unit=VERTEBRAE)["patients"] == len(patients_of(less, "dae"))
    graded = [cell(of, WHOLE_SCAN, "graded") for of in (before, table)]
    assert graded[0]["n"] == graded[1]["n"]  # all labelled test patients
    assert graded[1]["value"] == pytest.approx(graded[0]["value"] - 1 / graded[0]["n"])


def test_without_a_threshold_whole_scans_are_ranked_and_nobody_is_called(both: Tables) -> None:
    _, table = compared(scans_of(SCORES)._replace(threshold=None))
    assert cell(table, WHOLE_SCAN, "auc")["value"] == cell(both[1], WHOLE_SCAN, "auc")["value"]
    for figure in ("sensitivity", "specificity"):
        assert np.isnan(cell(table, WHOLE_SCAN, figure)["value"])
        assert np.isnan(cell(table, "dae", figure, WHOLE_SCAN)["value"])


def test_the_ensemble_has_the_name_that_the_scores_give_it() -> None:
    assert ENSEMBLE == scoring.ENSEMBLE
