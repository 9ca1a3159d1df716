"""Groups of the compared vertebrae, and learning curves: right members, right counts, no label of another patient."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from helpers.simulated_latents import cohort
from helpers.synthetic_predictions import make_cohort
from vertegrade.evaluation.comparison.cases import cases_of, cases_table
from vertegrade.evaluation.comparison.groups import Acquired, groups_table, thirds
from vertegrade.evaluation.comparison.learning_curve import figures_of, learning_curve
from vertegrade.evaluation.comparison.tables import PATIENTS, VERTEBRAE
from vertegrade.grading.appearance import CORRELATION, LENGTH, NOISE
from vertegrade.grading.calibration import calibrate
from vertegrade.grading.hyperplane import fit_hyperplane
from vertegrade.grading.prediction import predict
from vertegrade.settings.compare import CompareSettings
from vertegrade.settings.evaluation import EvaluationSettings
from vertegrade.settings.grading import GradingSettings
from vertegrade.tables import KEY, PATIENT_KEY

COHORT = make_cohort(40)
SETTINGS = EvaluationSettings(bootstrap_resamples=50)
CASES = cases_table(cases_of({"dae": COHORT.dae, "pca": COHORT.pca}, COHORT.tables()))
METAL = CASES.loc[CASES["compared"], "scan_id"].iloc[0]


def acquired() -> Acquired:
    """Every second vertebra is short, every sixth has a node too; one scan has metal; noise grows with the patient."""
    truth = COHORT.landmarks[KEY].copy()
    truth["finding"] = [("", "short", "", "short", "", "schmorl+short")[place % 6] for place in range(len(truth))]
    scans = COHORT.scans.assign(flags=COHORT.scans["scan_id"].map({METAL: "clipped metal"}).fillna(""))
    looks = np.zeros((len(COHORT.crops), LENGTH))
    looks[:, NOISE.start] = np.log1p(COHORT.crops["patient_id"].str[1:].astype(float))
    looks[:, CORRELATION.start + 1] = 0.9
    return Acquired(scans, COHORT.crops, COHORT.crops[PATIENT_KEY].assign(x=[*looks]), truth)


@pytest.fixture(scope="module")
def groups() -> pd.DataFrame:
    return groups_table(CASES, acquired(), SETTINGS, 1, 7)


def row(groups: pd.DataFrame, kind: str, group: str, method: str, figure: str) -> pd.Series:
    chosen = (groups["kind"] == kind) & (groups["group"] == group) & (groups["method"] == method)
    (found,) = groups[chosen & (groups["figure"] == figure)].to_dict("records")
    return pd.Series(found)


def test_false_alarms_are_intact_compared_vertebrae_with_the_finding(groups: pd.DataFrame) -> None:
    truth = acquired().truth
    assert truth is not None
    rows = CASES[CASES["compared"] & (CASES["method"] == "pca")].merge(truth, on=KEY)
    for name in ("short", "schmorl"):
        with_it = rows[rows["finding"].str.contains(name) & (rows["genant_grade"] == 0)]
        found = row(groups, "finding", name, "pca", "false_alarms")
        assert (found["n"], found["hits"]) == (len(with_it), (with_it["grade"] >= 1).sum())
        assert found["value"] == pytest.approx((with_it["grade"] >= 1).mean())
    assert (
        row(groups, "finding", "short", "pca", "false_alarms")["n"]
        > row(groups, "finding", "schmorl", "pca", "false_alarms")["n"]
    )
    none = rows[(rows["finding"] == "") & (rows["genant_grade"] == 0)]
    assert row(groups, "finding", "none", "pca", "false_alarms")["n"] == len(none)


def test_metal_is_that_of_the_scan(groups: pd.DataFrame) -> None:
    rows = CASES[CASES["compared"] & (CASES["method"] == "dae") & (CASES["scan_id"] == METAL)]
    found = row(groups, "finding", "scan with metal", "dae", "false_alarms")
    assert found["n"] == (rows["genant_grade"] == 0).sum()
    assert found["patients"] == 1


def test_groups_of_an_acquisition_hold_every_compared_vertebra_once(groups: pd.DataFrame) -> None:
    compared = CASES[CASES["compared"] & (CASES["method"] == "dae")]
    for kind in ("thickness", "noise", "smoothness", "field", "maker", "kernel"):
        auc = groups[(groups["kind"] == kind) & (groups["method"] == "dae") & (groups["figure"] == "auc")]
        assert auc["n"].sum() == len(compared), kind
        assert auc["hits"].isna().all()
    assert (groups["kind"] == "noise").sum() == 3 * 2 * 3  # thirds, methods, figures


def test_thirds_are_of_scans_and_unknown_ones_are_told() -> None:
    rows = pd.DataFrame({"scan_id": ["a", "a", "b", "c", "d"]})
    names, order = thirds(rows, pd.Series({"a": 1.0, "b": 2.0, "c": 9.0}), "HU")
    assert names.tolist() == [order[0], order[0], order[1], order[2], "unknown"]


def test_patients_without_a_truth_have_no_findings() -> None:
    own = acquired()
    table = groups_table(CASES, Acquired(own.scans, own.crops, own.appearance, None), SETTINGS, 1, 7)
    assert set(table.loc[table["kind"] == "finding", "group"]) == {"scan with metal"}


GRADING = GradingSettings(folds=3, coverage=0.6)
LATENTS, LABELS, SPLITS = cohort(patients=50, vertebrae=8, dimensions=8)


@pytest.fixture(scope="module")
def simulated() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Predictions of the whole run, and the cases of its test vertebrae."""
    plane = fit_hyperplane(LATENTS, LABELS, SPLITS, GRADING, 3)
    predictions = predict(LATENTS, plane, calibrate(LATENTS, LABELS, SPLITS, plane, GRADING, 3), SPLITS, "dae")
    cases = predictions[predictions["split"] == "test"].merge(LABELS.drop(columns=["patient_id", "reason"]), on=KEY)
    grades = cases["genant_grade"].astype(int)
    return predictions, cases.assign(compared=cases["vertebra"] != 9, slice_thickness_mm=1.0, genant_grade=grades)


def test_with_all_labels_the_curve_ends_at_the_figures_of_the_run(
    simulated: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    predictions, cases = simulated
    settings = CompareSettings(label_shares=[0.3, 1.0], label_draws=2)
    curve = learning_curve("dae", LATENTS, LABELS, SPLITS, cases, (settings, GRADING), 3, 3)
    known = figures_of(predictions, cases, 1, 3)
    whole = curve[curve["share"] == 1].set_index(["unit", "figure"])["value"].to_dict()
    assert whole == pytest.approx(known)
    assert {(VERTEBRAE, "auc"), (PATIENTS, "auc")} <= set(whole)
    few = curve[curve["share"] < 1]
    assert set(few["draw"]) == {0, 1}
    assert few.groupby("draw")["value"].apply(tuple).nunique() == 2  # other patients, other figures
    assert few["labelled"].max() < curve.loc[curve["share"] == 1, "labelled"].min() == 30


def test_what_is_fitted_sees_the_kept_labels_alone(
    simulated: tuple[pd.DataFrame, pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    training = set(SPLITS.loc[SPLITS["split"] == "train", "patient_id"])
    for name, fit in (("fit_hyperplane", fit_hyperplane), ("calibrate", calibrate)):

        def watched(latents: pd.DataFrame, labels: pd.DataFrame, *rest: Any, fit: Any = fit) -> Any:
            seen.append(len(training & set(labels["patient_id"])))
            return fit(latents, labels, *rest)

        monkeypatch.setattr(f"vertegrade.evaluation.comparison.learning_curve.{name}", watched)
    settings = CompareSettings(label_shares=[0.3], label_draws=1)
    curve = learning_curve("dae", LATENTS, LABELS, SPLITS, simulated[1], (settings, GRADING), 3, 3)
    assert set(seen) == set(curve["labelled"])
    assert max(seen) < len(training) / 2


def test_a_figure_needs_as_many_cases_as_in_the_comparison(simulated: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    predictions, cases = simulated
    found = figures_of(predictions, cases, 1, 9)
    assert np.isnan(found[PATIENTS, "auc"])  # of ten test patients
    assert found[VERTEBRAE, "mae"] == figures_of(predictions, cases, 1, 3)[VERTEBRAE, "mae"]


def test_too_few_labels_are_told_and_not_made_up(simulated: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    _, cases = simulated
    worst = LABELS.groupby("patient_id")["genant_grade"].transform("max")
    intact = LABELS[worst == 0]  # no training patient has a fracture
    settings = CompareSettings(label_shares=[1.0])
    curve = learning_curve("dae", LATENTS, intact, SPLITS, cases, (settings, GRADING), 3, 3)
    assert curve["value"].isna().all()
    assert curve["reason"].iloc[0] != ""
