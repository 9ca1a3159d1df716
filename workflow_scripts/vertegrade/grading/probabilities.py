"""Grades of a method that gives grade probabilities of its own: calibrated, put on Genant's scale, with intervals.

A network that was trained on grades has seen those of the training patients, so nothing can be calibrated on these: it
is too sure of them. All here is fitted on validation patients, out of fold. They also choose the epoch of the training,
which makes their predictions a little better than those of new patients.

Calibration is bias-corrected temperature scaling (Alexandari, Kundaje & Shrikumar, ICML 2020): p' ~ exp(log(p) / T + b)
with one temperature (Guo et al., ICML 2017) and one bias per grade, which also undoes a training on balanced grades.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import log_softmax, softmax

from vertegrade.arrays import Floats
from vertegrade.grading.calibrators import Graded, expected_grade, ranked_probability_scores
from vertegrade.grading.conformal import Intervals, Predicted, fit_intervals, patients_needed
from vertegrade.grading.decision_rules import fit_grade_scale
from vertegrade.grading.grade_scale import GradeScale, grade_of, on_scale
from vertegrade.grading.patients import PatientRule, fit_patient_rule
from vertegrade.grading.prediction import NUMBERS, ungraded
from vertegrade.grading.rows import GradingError, Whole, graded_latents, one_model, patient_folds, stack_latents
from vertegrade.model_files import PROBABILITY_KEYS, check_keys
from vertegrade.settings.grading import GradingSettings
from vertegrade.tables import GRADES, PREDICTIONS, check_table

LEAST_P = 1e-6  # below it a probability says nothing more
BIAS_RIDGE = 1e-2  # keeps the bias of a grade finite that no validation patient has


@dataclass(frozen=True)
class ProbabilityCalibration:
    """From a network's grade probabilities to predictions.

    inverse_temperature, bias (4): of the calibration. patient: None where too few patients taught it. scores: ranked
    probability score out of fold, before and after the calibration. model_sha256: weights that gave the probabilities.
    """

    model_sha256: str
    fracture_grade: int
    inverse_temperature: float
    bias: list[float]
    scale: GradeScale
    intervals: Intervals
    patient: PatientRule | None
    scores: dict[str, float]
    vertebrae: int
    patients: int

    def predict(self, log_p: Floats) -> Graded:
        """Severity on Genant's scale and grade probabilities of log probabilities (N, 4)."""
        return on_scale(_calibrated(log_p, self.inverse_temperature, np.array(self.bias)), self.scale)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON."""
        parts = {"scale": self.scale.to_dict(), "intervals": self.intervals.to_dict()}
        return vars(self) | parts | {"patient": self.patient and self.patient.to_dict()}

    @classmethod
    def from_dict(cls, numbers: dict[str, Any]) -> "ProbabilityCalibration":
        """The calibration of `to_dict`; ModelFileError for that of another version."""
        check_keys(numbers, PROBABILITY_KEYS, "the calibrated probabilities")
        scale, intervals = GradeScale.from_dict(numbers["scale"]), Intervals.from_dict(numbers["intervals"])
        patient = PatientRule.from_dict(numbers["patient"]) if numbers["patient"] else None
        return cls(**(numbers | {"scale": scale, "intervals": intervals, "patient": patient}))

    def sha256(self) -> str:
        """Fingerprint of all numbers."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()


def calibrate_probabilities(
    scores: pd.DataFrame, labels: pd.DataFrame, splits: pd.DataFrame, settings: GradingSettings, seed: int
) -> ProbabilityCalibration:
    """Fit on the validation split. scores: LATENTS whose z is log P(grade) (4). GradingError: too few patients."""
    rows = graded_latents(scores, labels, splits, "validation")
    needed, level = patients_needed(settings.coverage), settings.fracture_grade
    if len(np.unique(rows.patient)) < needed:
        raise GradingError(
            f"intervals of coverage {settings.coverage:g} need {needed} validation patients with graded vertebrae, "
            f"there are {len(np.unique(rows.patient))}; lower grading.coverage or give the validation split more"
        )
    folds = patient_folds(rows.grade, rows.patient, level, settings.folds, seed)
    out_of_fold, honest = _cross_fitted(rows.z, rows.grade, folds, level)
    inverse, bias = fit_temperature(rows.z, rows.grade)
    scale = fit_grade_scale(out_of_fold, rows.grade, level, folds)
    before = ranked_probability_scores(softmax(rows.z, axis=1), rows.grade).mean()
    after = ranked_probability_scores(out_of_fold.p_grade, rows.grade).mean()
    return ProbabilityCalibration(
        model_sha256=one_model(scores),
        fracture_grade=level,
        inverse_temperature=inverse,
        bias=bias.tolist(),
        scale=scale,
        intervals=fit_intervals([Predicted(honest, rows.grade, rows.patient)], settings.coverage),
        patient=fit_patient_rule([honest], rows.grade, rows.patient, level, settings.folds, seed),
        scores={"ranked_probability_score_before": float(before), "ranked_probability_score": float(after)},
        vertebrae=len(rows.grade),
        patients=len(np.unique(rows.patient)),
    )


def fit_temperature(log_p: Floats, grade: Whole) -> tuple[float, Floats]:
    """1 / T and bias (4) with the lowest negative log-likelihood of log probabilities (N, 4), ridge on the bias."""
    from scipy.optimize import minimize  # see calibrators.py: only fitting waits for it

    log_p, row = np.maximum(log_p, np.log(LEAST_P)), np.arange(len(grade))

    def objective(parameters: Floats) -> tuple[float, Floats]:
        inverse, bias = parameters[0], parameters[1:]
        logits = inverse * log_p + bias
        value = -log_softmax(logits, axis=1)[row, grade].mean() + BIAS_RIDGE / 2 * bias @ bias
        error = softmax(logits, axis=1)
        error[row, grade] -= 1
        error /= len(grade)
        return value, np.concatenate([[np.sum(error * log_p)], error.sum(axis=0) + BIAS_RIDGE * bias])

    start = np.concatenate([[1.0], np.zeros(len(GRADES))])
    bounds = [(0.01, 100.0)] + [(None, None)] * len(GRADES)  # the order of a network's grades is never reversed
    found = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    return float(found[0]), found[1:].astype(np.float64)


def predict_probabilities(
    scores: pd.DataFrame, calibration: ProbabilityCalibration, splits: pd.DataFrame, method: str
) -> pd.DataFrame:
    """PREDICTIONS of all rows of a table of scores, sorted by patient, scan and vertebra; novelty is unknown (NaN).

    signed_distance is the log odds of a fracture before the calibration. Rows that are not evaluable keep their reason.
    GradingError for scores of other weights.
    """
    if len(scores) and one_model(scores) != calibration.model_sha256:
        raise GradingError(
            f"stale scores: of the weights {one_model(scores)[:12]}, the calibration is of "
            f"{calibration.model_sha256[:12]}; score all shards and calibrate with the same weights"
        )
    scores, table = ungraded(scores, splits, method)
    here = scores["evaluable"].to_numpy(dtype=bool)
    if here.any():
        log_p, level = stack_latents(scores[here]), calibration.fracture_grade
        graded = calibration.predict(log_p)
        odds = np.logaddexp.reduce(log_p[:, level:], axis=1) - np.logaddexp.reduce(log_p[:, :level], axis=1)
        values = [odds, graded.severity, graded.p_at_least(level), *graded.p_grade.T]
        table.loc[here, NUMBERS] = np.stack([*values, *calibration.intervals.bounds(graded)], axis=1)
        table.loc[here, "grade"] = grade_of(graded.severity)
    return check_table(table, PREDICTIONS, f"predictions of {method}")


def _calibrated(log_p: Floats, inverse: float, bias: Floats) -> Graded:
    logits = inverse * np.maximum(log_p, np.log(LEAST_P)) + bias
    return expected_grade(softmax(logits, axis=1))


def _cross_fitted(log_p: Floats, grade: Whole, folds: Whole, level: int) -> tuple[Graded, Graded]:
    """Predictions of vertebrae whose patients did not calibrate them: expected grades, and severities on a scale.

    The scale of each fold comes from the others too. With two folds there is no other one to fit it on out of fold;
    then it is fitted on predictions of the calibration that it belongs to.
    """
    expected, severity = np.empty(len(grade)), np.empty(len(grade))
    p_grade = np.empty((len(grade), len(GRADES)))
    for fold in np.unique(folds):
        out, rest = folds == fold, folds != fold
        fitted = fit_temperature(log_p[rest], grade[rest])
        graded, seen = _calibrated(log_p[out], *fitted), _calibrated(log_p[rest], *fitted)
        inner = folds[rest] if len(np.unique(folds[rest])) > 1 else np.arange(rest.sum()) % 2
        scale = fit_grade_scale(seen, grade[rest], level, inner)
        expected[out], p_grade[out] = graded.severity, graded.p_grade
        severity[out] = scale.severity(graded.severity)
    return Graded(expected, p_grade), Graded(severity, p_grade)
