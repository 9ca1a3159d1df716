"""The metrics of vertebrae and of patients, each with the cases that it needs.

Ranking metrics (ROC and PR AUC, Spearman) use the continuous `severity`, never hard labels; a vertebra is called
fractured by its `grade`, whose limits the grading stage fixed on training patients (of methods with scores on
validation patients); grades are compared as grades.
"""

import numpy as np
import pandas as pd

from vertegrade.arrays import Floats
from vertegrade.evaluation.bootstrap import Metric, Metrics
from vertegrade.evaluation.metrics import (
    Flags,
    auc,
    average_precision,
    calibration_error,
    calibration_intercept,
    calibration_slope,
    confusion,
    macro_f1,
    mean,
    quadratic_kappa,
    share,
    spearman,
)
from vertegrade.tables import GRADES

PATIENT_BINS = 5
WANTED_SPECIFICITY = 0.95  # of screening: one false alarm in twenty intact vertebrae


def numbers(cases: pd.DataFrame, column: str) -> Floats:
    """A column as float64."""
    return cases[column].to_numpy(dtype=float)


def size(flags: Flags) -> int:
    """How many are set."""
    return int(flags.sum())


def detection_metrics(severity: Floats, called: Flags, fractured: Flags) -> Metrics:
    """ROC and PR AUC of the severity, sensitivity and specificity of what is called fractured."""
    positives, negatives = size(fractured), size(~fractured)

    def metrics(weights: Floats) -> dict[str, Metric]:
        return {
            "auc": Metric(auc(severity, fractured, weights), (positives, negatives)),
            "pr_auc": Metric(average_precision(severity, fractured, weights), (positives, negatives)),
            "sensitivity": Metric(share(called, fractured, weights), (positives,)),
            "specificity": Metric(share(~called, ~fractured, weights), (negatives,)),
        }

    return metrics


def stratum_metrics(cases: pd.DataFrame, fracture_grade: int) -> Metrics:
    """Detection metrics of evaluable cases, the errors of severity of the fractured ones, and intervals of all.

    `mae`: mean absolute error. `mean_error`: mean of severity - true grade; below 0, fractures are graded too mild.
    """
    true = cases["genant_grade"].to_numpy()
    fractured, severity = true >= fracture_grade, numbers(cases, "severity")
    error = (severity - true)[fractured]
    detection = detection_metrics(severity, (cases["grade"] >= fracture_grade).to_numpy(dtype=bool), fractured)
    intervals = _interval_metrics(cases, np.full(len(cases), True))

    def metrics(weights: Floats) -> dict[str, Metric]:
        return {
            **detection(weights),
            "mae": Metric(mean(np.abs(error), weights[:, fractured]), (len(error),)),
            "mean_error": Metric(mean(error, weights[:, fractured]), (len(error),)),
            **intervals(weights),
        }

    return metrics


def vertebra_metrics(cases: pd.DataFrame, fracture_grade: int) -> Metrics:
    """All vertebra-level metrics of labelled cases; all but non_evaluable_rate are over the evaluable ones."""
    evaluable = cases["evaluable"].to_numpy(dtype=bool)
    graded = cases[evaluable]
    true, predicted = graded["genant_grade"].to_numpy(), graded["grade"].to_numpy()
    severity, p_fracture = numbers(graded, "severity"), numbers(graded, "p_fracture")
    fractured = true >= fracture_grade
    classes, everyone = (size(fractured), size(~fractured)), np.full(len(graded), True)
    intervals = [_interval_metrics(graded, everyone)]
    intervals += [_interval_metrics(graded, true == grade, f"_grade_{grade}") for grade in GRADES]
    detection = detection_metrics(severity, predicted >= fracture_grade, fractured)

    def metrics(weights: Floats) -> dict[str, Metric]:
        weights, all_weights = weights[:, evaluable], weights
        table, n = confusion(true, predicted, weights), len(graded)
        recalls = {
            f"recall_grade_{g}": Metric(share(predicted == g, true == g, weights), (size(true == g),)) for g in GRADES
        }
        return {
            **detection(weights),
            "macro_f1": Metric(macro_f1(table), (n,)),
            **recalls,
            "qwk": Metric(quadratic_kappa(table), (n,)),
            "mae": Metric(mean(np.abs(severity - true), weights), (n,)),
            "spearman_height_loss": _height_loss(graded, weights),
            "brier": Metric(mean((p_fracture - fractured) ** 2, weights), (n,)),
            "calibration_slope": Metric(calibration_slope(p_fracture, fractured, weights), classes),
            "calibration_intercept": Metric(calibration_intercept(p_fracture, fractured, weights), classes),
            **{name: metric for metrics in intervals for name, metric in metrics(weights).items()},
            "non_evaluable_rate": Metric(share(~evaluable, np.full(len(cases), True), all_weights), (len(cases),)),
            "exact_grade": Metric(share(predicted == true, everyone, weights), (n,)),
        }

    return metrics


def wanted_threshold(cases: pd.DataFrame, fracture_grade: int, minimum_cases: int) -> float | None:
    """The smallest severity that WANTED_SPECIFICITY of the graded intact cases do not exceed; None with too few."""
    intact = cases[cases["evaluable"] & (cases["genant_grade"] < fracture_grade)]
    if len(intact) < minimum_cases:
        return None
    return float(np.quantile(numbers(intact, "severity"), WANTED_SPECIFICITY, method="inverted_cdf"))


def threshold_metrics(cases: pd.DataFrame, fracture_grade: int, threshold: float | None) -> Metrics:
    """Sensitivity and specificity of evaluable cases when a severity above the threshold is called a fracture.

    Undefined without a threshold: a specificity of 1 would look like a finding.
    """
    evaluable = cases["evaluable"].to_numpy(dtype=bool)
    graded = cases[evaluable]
    fractured = (graded["genant_grade"] >= fracture_grade).to_numpy(dtype=bool)
    called = numbers(graded, "severity") > (np.inf if threshold is None else threshold)
    known = 1.0 if threshold is not None else np.nan

    def metrics(weights: Floats) -> dict[str, Metric]:
        weights = weights[:, evaluable]
        return {
            "sensitivity_at_95": Metric(known * share(called, fractured, weights), (size(fractured),)),
            "specificity_at_95": Metric(known * share(~called, ~fractured, weights), (size(~fractured),)),
        }

    return metrics


def _interval_metrics(graded: pd.DataFrame, among: Flags, suffix: str = "") -> Metrics:
    """Share of the intervals of the cases `among` (N,) of graded ones that contain the true grade, and their width."""
    true, low, high = (numbers(graded, name) for name in ("genant_grade", "severity_low", "severity_high"))
    known = among & np.isfinite(low) & np.isfinite(high)
    inside, width = (low <= true) & (true <= high), (high - low)[known]

    def metrics(weights: Floats) -> dict[str, Metric]:
        return {
            f"interval_coverage{suffix}": Metric(share(inside, known, weights), (size(known),)),
            f"interval_width{suffix}": Metric(mean(width, weights[:, known]), (len(width),)),
        }

    return metrics


def _height_loss(graded: pd.DataFrame, weights: Floats) -> Metric:
    """Spearman of severity with true height loss among vertebrae of genant_grade >= 1 whose height loss is known."""
    known = ((graded["genant_grade"] >= 1) & graded["height_loss"].notna()).to_numpy(dtype=bool)
    fractures = graded[known]
    value = spearman(numbers(fractures, "severity"), numbers(fractures, "height_loss"), weights[:, known])
    return Metric(value, (size(known),))


def patient_metrics(patients: pd.DataFrame) -> Metrics:
    """Patient-level metrics of `patient_cases`: ranked by the largest severity, called by the rule for patients.

    brier, ece and the calibration are of the patient's own probability, where predictions have one.
    """
    evaluable = patients["evaluable"].to_numpy(dtype=bool)
    graded = patients[evaluable]
    fractured, called = (graded[name].to_numpy(dtype=bool) for name in ("fractured", "called"))
    detection = detection_metrics(numbers(graded, "severity"), called, fractured)
    probability = _probability_metrics(numbers(graded, "p_fracture"), fractured)

    def metrics(weights: Floats) -> dict[str, Metric]:
        rate = share(~evaluable, np.full(len(patients), True), weights)
        return {
            **detection(weights[:, evaluable]),
            **probability(weights[:, evaluable]),
            "non_evaluable_rate": Metric(rate, (len(patients),)),
        }

    return metrics


def _probability_metrics(p: Floats, fractured: Flags) -> Metrics:
    """How good the probabilities (N,) are, where they are known. ece: by PATIENT_BINS bins of about equal size."""
    known = np.isfinite(p)
    p, fractured = p[known], fractured[known]
    edges = np.quantile(p, np.linspace(0, 1, PATIENT_BINS + 1)[1:-1]) if len(p) else np.empty(0)
    bins = np.searchsorted(edges, p, side="right")
    classes = (size(fractured), size(~fractured))

    def metrics(weights: Floats) -> dict[str, Metric]:
        weights = weights[:, known]
        return {
            "brier": Metric(mean((p - fractured) ** 2, weights), (len(p),)),
            "ece": Metric(calibration_error(p, fractured, bins, weights), (len(p),)),
            "calibration_slope": Metric(calibration_slope(p, fractured, weights), classes),
            "calibration_intercept": Metric(calibration_intercept(p, fractured, weights), classes),
        }

    return metrics
