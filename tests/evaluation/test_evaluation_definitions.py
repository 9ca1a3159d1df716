"""Every metric of vertebrae and patients by hand, or by scikit-learn, on cases whose columns contradict each other."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score, brier_score_loss, cohen_kappa_score, f1_score, roc_auc_score

from vertegrade.evaluation.bootstrap import LEAST_DEFINED, Metric, Metrics, estimate
from vertegrade.evaluation.cases import patient_cases
from vertegrade.evaluation.definitions import (
    PATIENT_BINS,
    patient_metrics,
    stratum_metrics,
    threshold_metrics,
    vertebra_metrics,
    wanted_threshold,
)
from vertegrade.evaluation.metrics import calibration_error, confusion, share
from vertegrade.settings.evaluation import EvaluationSettings

COUNT = 200


def cases() -> pd.DataFrame:
    """Severity, grade and probability that do not follow from each other, so that none can stand for another."""
    random = np.random.default_rng(4)
    true = random.choice(4, COUNT, p=[0.5, 0.2, 0.2, 0.1])
    severity = np.clip(true + random.normal(0, 0.9, COUNT), 0, 3)
    grade = np.clip(true + random.choice([-1, 0, 1, 2], COUNT, p=[0.2, 0.6, 0.1, 0.1]), 0, 3)
    p = np.clip(0.2 + 0.2 * true + random.normal(0, 0.25, COUNT), 0.01, 0.99)
    evaluable = random.random(COUNT) < 0.9
    table = pd.DataFrame(
        {
            "patient_id": [f"p{n // 4:02d}" for n in range(COUNT)],
            "genant_grade": true,
            "severity": severity,
            "grade": grade,
            "p_fracture": p,
            "severity_low": np.clip(severity - 0.7, 0, 3),
            "severity_high": np.clip(severity + random.uniform(0, 1, COUNT), 0, 3),
            "height_loss": 0.15 * true + random.normal(0, 0.05, COUNT),
            "evaluable": evaluable,
            "patient_p_fracture": np.repeat(random.random(COUNT // 4), 4),
            "patient_fractured": -1,
        }
    )
    numbers = ["severity", "p_fracture", "severity_low", "severity_high"]
    table.loc[~evaluable, numbers], table.loc[~evaluable, "grade"] = np.nan, -1
    return table


CASES = cases()
GRADED = CASES[CASES["evaluable"]]
true_grade, ILL = GRADED["genant_grade"].to_numpy(), (GRADED["genant_grade"] >= 1).to_numpy()


def values(metrics: Metrics, count: int) -> dict[str, float]:
    return {name: float(metric.values[0]) for name, metric in metrics(np.ones((1, count))).items()}


def inside(rows: pd.DataFrame) -> pd.Series:
    return (rows["severity_low"] <= rows["genant_grade"]) & (rows["genant_grade"] <= rows["severity_high"])


def test_metrics_of_vertebrae_are_each_of_their_own_column() -> None:
    found = values(vertebra_metrics(CASES, 1), COUNT)
    grade, severity, p = (GRADED[name].to_numpy() for name in ("grade", "severity", "p_fracture"))
    wanted = {
        "auc": roc_auc_score(ILL, severity),
        "pr_auc": average_precision_score(ILL, severity),
        "sensitivity": (grade[ILL] >= 1).mean(),
        "specificity": (grade[~ILL] < 1).mean(),
        "macro_f1": f1_score(true_grade, grade, average="macro"),
        "qwk": cohen_kappa_score(true_grade, grade, weights="quadratic"),
        "mae": np.abs(severity - true_grade).mean(),
        "spearman_height_loss": spearmanr(severity[ILL], GRADED["height_loss"][ILL]).statistic,
        "brier": brier_score_loss(ILL, p),
        "exact_grade": (grade == true_grade).mean(),
        "non_evaluable_rate": (~CASES["evaluable"]).mean(),
        "interval_coverage": inside(GRADED).mean(),
        "interval_width": (GRADED["severity_high"] - GRADED["severity_low"]).mean(),
    }
    wanted |= {f"recall_grade_{value}": (grade[true_grade == value] == value).mean() for value in range(4)}
    for value in range(4):
        rows = GRADED[true_grade == value]
        wanted[f"interval_coverage_grade_{value}"] = inside(rows).mean()
        wanted[f"interval_width_grade_{value}"] = (rows["severity_high"] - rows["severity_low"]).mean()
    assert {name: found[name] for name in wanted} == pytest.approx(wanted)


def test_a_later_fracture_grade_moves_what_counts_as_one() -> None:
    found = values(vertebra_metrics(CASES, 2), COUNT)
    severe = true_grade >= 2
    assert found["auc"] == pytest.approx(roc_auc_score(severe, GRADED["severity"]))
    assert found["sensitivity"] == pytest.approx((GRADED["grade"][severe] >= 2).mean())


@pytest.mark.parametrize("count", [10, 19, 20, 21, 40, 60, 100])
def test_the_threshold_at_95_is_the_smallest_that_enough_intact_cases_do_not_exceed(count: int) -> None:
    severity = np.random.default_rng(count).permutation(count).astype(float)
    table = pd.DataFrame({"severity": severity, "genant_grade": 0, "evaluable": True})
    ill = pd.DataFrame({"severity": [900.0], "genant_grade": 1, "evaluable": True})
    lost = pd.DataFrame({"severity": [np.nan], "genant_grade": 0, "evaluable": False})
    found = wanted_threshold(pd.concat([table, ill, lost], ignore_index=True), 1, 10)
    assert found == next(limit for limit in range(count) if (severity <= limit).sum() * 100 >= 95 * count)
    assert wanted_threshold(table, 1, count + 1) is None


def test_cases_without_a_grade_are_not_counted_at_95() -> None:
    weights, seen = np.arange(1.0, COUNT + 1), CASES["evaluable"].to_numpy()
    found = {name: cell.values[0] for name, cell in threshold_metrics(CASES, 1, 1.2)(weights[None]).items()}
    called = (GRADED["severity"] > 1.2).to_numpy()
    assert found["sensitivity_at_95"] == pytest.approx(np.average(called[ILL], weights=weights[seen][ILL]))
    assert found["specificity_at_95"] == pytest.approx(np.average(~called[~ILL], weights=weights[seen][~ILL]))


def test_the_error_of_a_group_is_that_of_its_fractures() -> None:
    found = values(stratum_metrics(GRADED.reset_index(drop=True), 1), len(GRADED))
    error = (GRADED["severity"] - true_grade)[ILL]
    assert found["mean_error"] == pytest.approx(error.mean())
    assert found["mae"] == pytest.approx(error.abs().mean())
    assert found["interval_coverage"] == pytest.approx(inside(GRADED).mean())


def test_metrics_of_patients_leave_out_those_without_a_grade() -> None:
    table = CASES.assign(evaluable=CASES["evaluable"] & (CASES["patient_id"] > "p04"))
    patients = patient_cases(table, 1)
    seen = patients[patients["evaluable"]]
    assert len(seen) == 45
    found = values(patient_metrics(patients), len(patients))
    ill, called = seen["fractured"].to_numpy(), (seen["grade"] >= 1).to_numpy()
    assert found["auc"] == pytest.approx(roc_auc_score(ill, seen["severity"]))
    assert found["sensitivity"] == pytest.approx(called[ill].mean())
    assert found["non_evaluable_rate"] == pytest.approx(5 / 50)
    assert found["brier"] == pytest.approx(((seen["p_fracture"] - ill) ** 2).mean())
    worst = table[table["evaluable"]].groupby("patient_id")[["severity", "grade"]].max()
    assert seen["severity"].tolist() == worst["severity"].tolist()
    assert seen["grade"].tolist() == worst["grade"].tolist()


def test_patients_without_a_grade_lend_their_weight_to_nobody() -> None:
    patients = patient_cases(CASES.assign(evaluable=CASES["evaluable"] & (CASES["patient_id"] > "p04")), 1)
    weights = np.arange(1.0, len(patients) + 1)
    seen = patients["evaluable"].to_numpy(dtype=bool)
    ill, severity = (patients[name].to_numpy()[seen] for name in ("fractured", "severity"))
    found = patient_metrics(patients)(weights[None])["auc"].values[0]
    assert found == pytest.approx(roc_auc_score(ill, severity.astype(float), sample_weight=weights[seen]))


def test_the_calibration_error_of_patients_is_that_of_fifths() -> None:
    patients = patient_cases(CASES, 1)
    p, ill = patients["p_fracture"].to_numpy(), patients["fractured"].to_numpy()
    fifth = np.argsort(np.argsort(p)) // 10
    assert PATIENT_BINS == 5
    wanted = sum(abs((p - ill)[fifth == number].sum()) for number in range(5)) / 50
    assert values(patient_metrics(patients), 50)["ece"] == pytest.approx(wanted)


def test_calibration_errors_cancel_within_a_bin_and_not_between_bins() -> None:
    p, positive = np.array([0.2, 0.4, 0.9, 0.9]), np.array([True, False, False, True])
    bins = np.array([0, 0, 1, 1])
    # 0.6 - 1 in the first bin, 1.8 - 1 in the second
    assert calibration_error(p, positive, bins, np.ones((1, 4)))[0] == pytest.approx((0.4 + 0.8) / 4)
    assert calibration_error(p, positive, bins, np.array([[2.0, 0, 1, 1]]))[0] == pytest.approx((1.6 + 0.8) / 4)


def test_rows_of_the_confusion_are_true_grades() -> None:
    counts = confusion(np.array([0, 0, 3]), np.array([1, 0, 2]), np.array([[1.0, 2, 5]]))[0]
    assert (counts[0, 1], counts[0, 0], counts[3, 2], counts.sum()) == (1, 2, 5, 8)


def test_a_share_is_among_those_it_is_asked_of() -> None:
    hit, among = np.array([True, True, False, True]), np.array([True, False, True, False])
    assert share(hit, among, np.array([[1.0, 5, 3, 5]]))[0] == pytest.approx(1 / 4)


def test_an_interval_needs_most_of_the_resamples() -> None:
    """The metric is undefined where the first patient was not drawn: in (11/12)^12 = 0.35 of the resamples."""
    settings = EvaluationSettings(bootstrap_resamples=400, minimum_cases=1)

    def metrics(weights: np.ndarray) -> dict[str, Metric]:
        some = weights @ np.arange(12.0)
        return {
            "rare": Metric(np.where(weights[:, 0] > 0, some, np.nan), (6, 6)),
            "always": Metric(some, (6, 6)),
        }

    found = estimate(metrics, np.arange(12), settings, 1)
    assert 1 - found["rare"]["skipped"] / 400 < LEAST_DEFINED
    assert (found["rare"]["low"], found["rare"]["value"]) == (None, 66)
    assert found["always"]["low"] < 66 < found["always"]["high"]
