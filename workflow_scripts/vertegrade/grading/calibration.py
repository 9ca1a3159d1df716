"""The calibration of a hyperplane: which calibrator, the scale of its grades, and the intervals.

All comes from the training split by nested cross-validation over patients; the intervals also count the validation
split. In each outer fold the penalty, the hyperplane and the calibrators are fitted again on the other folds, and
inside these the calibrators see out-of-fold distances only. A plane in a hundred dimensions separates its own training
vertebrae better than new ones; a calibrator fitted on those would be overconfident.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from vertegrade.arrays import Floats
from vertegrade.grading.calibrators import KINDS, Calibrator, Graded, ranked_probability_scores
from vertegrade.grading.conformal import Intervals, Predicted, fit_intervals, patients_needed
from vertegrade.grading.decision_rules import fit_grade_scale
from vertegrade.grading.errors import mean_prediction, unusual, usual_lengths
from vertegrade.grading.grade_scale import GradeScale, on_scale
from vertegrade.grading.hyperplane import (
    Hyperplane,
    choose_penalty,
    cross_fitted_distance,
    fit_plane,
    plane_distance,
)
from vertegrade.grading.patients import PatientRule, fit_patient_rule
from vertegrade.grading.rows import (
    LEAST_PATIENTS,
    GradedLatents,
    GradingError,
    Whole,
    graded_latents,
    patient_folds,
)
from vertegrade.model_files import CALIBRATION_KEYS, check_keys
from vertegrade.settings.grading import GradingSettings
from vertegrade.tables import GRADES

# Repeats of the nested cross-validation with other folds: the choice of one alone depends on its folds.
REPEATS = 3


@dataclass(frozen=True)
class Calibration:
    """All that turns signed distances into predictions.

    chosen: kind that grades. calibrators: all kinds, fitted on the whole training split. scale: of the chosen kind.
    scores: one row per kind, out of fold. usual_errors: lengths of the latents' errors in training, in z (errors.py;
    empty where unknown). hyperplane_sha256: the plane that this belongs to. patient: from vertebrae to patients; None
    where too few taught it.
    """

    hyperplane_sha256: str
    fracture_grade: int
    chosen: str
    calibrators: dict[str, Calibrator]
    scale: GradeScale
    intervals: Intervals
    scores: list[dict[str, Any]]
    usual_errors: list[float]
    patient: PatientRule | None = None

    def predict(self, distance: Floats, z_n: Floats) -> Graded:
        """Severity on Genant's scale, which rounds to the grade, and grade probabilities, by the chosen kind."""
        return on_scale(self.calibrators[self.chosen].predict(distance, z_n), self.scale)

    def predict_measured(self, z: Floats, errors: Floats, hyperplane: Hyperplane) -> Graded:
        """The same for latents (N, D) with errors (N, K, D), as `rows` stacks them, of this calibration's plane."""
        doubt = unusual(errors, self.usual_errors) @ hyperplane.whitening
        predict = _on_plane(self.calibrators[self.chosen], hyperplane.w, hyperplane.b)
        return on_scale(mean_prediction(predict, hyperplane.normalise(z), doubt), self.scale)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON."""
        return dict(vars(self)) | {
            "calibrators": {kind: calibrator.to_dict() for kind, calibrator in self.calibrators.items()},
            "scale": self.scale.to_dict(),
            "intervals": self.intervals.to_dict(),
            "patient": self.patient and self.patient.to_dict(),
        }

    def sha256(self) -> str:
        """Fingerprint of all numbers, which ties what was fitted to its severities to it."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()

    @classmethod
    def from_dict(cls, numbers: dict[str, Any]) -> "Calibration":
        """The calibration of `to_dict`; ModelFileError for that of another version."""
        check_keys(numbers, CALIBRATION_KEYS, "the calibrator")
        calibrators = {kind: KINDS[kind].from_dict(plain) for kind, plain in numbers["calibrators"].items()}
        scale, intervals = GradeScale.from_dict(numbers["scale"]), Intervals.from_dict(numbers["intervals"])
        patient = PatientRule.from_dict(numbers["patient"]) if numbers["patient"] else None
        fitted = {"calibrators": calibrators, "scale": scale, "intervals": intervals, "patient": patient}
        return cls(**(numbers | fitted))


def calibrate(
    latents: pd.DataFrame,
    labels: pd.DataFrame,
    splits: pd.DataFrame,
    hyperplane: Hyperplane,
    settings: GradingSettings,
    seed: int,
) -> Calibration:
    """Choose and fit the calibrator on the training split, the intervals on the training and validation splits.

    latents: LATENTS of the cohort; labels: LABELS; splits: PATIENT_SPLITS. With `calibration: auto` the kind with the
    best out-of-fold ranked probability score is chosen. The score is proper, so that probabilities stay honest at a low
    prevalence, and it counts how far off a grade is. `best_kind` decides between near equals.
    """
    hyperplane.check_latents(latents)
    train = graded_latents(latents, labels, splits, "train")
    z_n = hyperplane.normalise(train.z)
    fractured = train.grade >= settings.fracture_grade
    usual = usual_lengths(train.errors)
    doubt = unusual(train.errors, usual) @ hyperplane.whitening
    repeats = [_nested(z_n, doubt, train, settings, seed + repeat) for repeat in range(REPEATS)]
    out_of_fold = {kind: _concatenated([repeat[kind] for repeat in repeats]) for kind in KINDS}
    grade, patient = np.tile(train.grade, REPEATS), np.tile(train.patient, REPEATS)
    scores = [_scores(kind, graded, grade, settings.fracture_grade) for kind, graded in out_of_fold.items()]
    _compare_with_best(scores, out_of_fold, grade, patient)
    best = best_kind(scores)
    chosen = best if settings.calibration == "auto" else settings.calibration

    folds = patient_folds(train.grade, train.patient, settings.fracture_grade, settings.folds, seed)
    distance = cross_fitted_distance(z_n, fractured, folds, hyperplane.classifier, hyperplane.C)
    calibrators = {name: kind.fit(distance, z_n, train.grade, folds) for name, kind in KINDS.items()}

    scale = fit_grade_scale(out_of_fold[chosen], grade, settings.fracture_grade, np.tile(folds, REPEATS))
    validation = graded_latents(latents, labels, splits, "validation")
    _check_validation(validation, settings.coverage)
    held_out = mean_prediction(
        _on_plane(calibrators[chosen], hyperplane.w, hyperplane.b),
        hyperplane.normalise(validation.z),
        unusual(validation.errors, usual) @ hyperplane.whitening,
    )
    return Calibration(
        hyperplane_sha256=hyperplane.sha256(),
        fracture_grade=settings.fracture_grade,
        chosen=chosen,
        calibrators=calibrators,
        scale=scale,
        intervals=fit_intervals(
            [
                Predicted(on_scale(out_of_fold[chosen], scale), grade, patient),
                Predicted(on_scale(held_out, scale), validation.grade, validation.patient),
            ],
            settings.coverage,
        ),
        scores=scores,
        usual_errors=usual,
        patient=fit_patient_rule(
            [on_scale(repeat[chosen], scale) for repeat in repeats],
            train.grade,
            train.patient,
            settings.fracture_grade,
            settings.folds,
            seed,
        ),
    )


def _check_validation(validation: GradedLatents, coverage: float) -> None:
    """GradingError where so few validation patients are graded that the intervals would rest on training alone.

    The grades' scale was fitted to the out-of-fold predictions of the training patients.
    """
    patients, needed = len(np.unique(validation.patient)), patients_needed(coverage)
    if patients < needed:
        raise GradingError(
            f"intervals of coverage {coverage:g} need {needed} validation patients with graded vertebrae, there are "
            f"{patients}; lower grading.coverage or give the validation split more patients"
        )


def _on_plane(calibrator: Calibrator, w: Floats, b: float) -> Callable[[Floats], Graded]:
    """What a calibrator says of normalised latents (N, D) by their distance to a plane."""
    return lambda z_n: calibrator.predict(plane_distance(z_n, w, b), z_n)


def _nested(
    z_n: Floats, doubt: Floats, train: GradedLatents, settings: GradingSettings, seed: int
) -> dict[str, Graded]:
    """Predictions of every kind for each training vertebra, by a pipeline that never saw its patient's labels.

    z_n: (N, D) with unusual errors `doubt` (N, K, D).
    """
    grade, level = train.grade, settings.fracture_grade
    fractured = grade >= level
    outer = patient_folds(grade, train.patient, level, settings.folds, seed, least=LEAST_PATIENTS)
    severity = {kind: np.empty(len(grade)) for kind in KINDS}
    p_grade = {kind: np.empty((len(grade), len(GRADES))) for kind in KINDS}
    for fold in np.unique(outer):
        out, rest = outer == fold, outer != fold
        inner = patient_folds(grade[rest], train.patient[rest], level, settings.folds, seed)
        penalty, _, distance = choose_penalty(z_n[rest], fractured[rest], inner, settings.classifier)
        w, b = fit_plane(z_n[rest], fractured[rest], settings.classifier, penalty)
        for name, kind in KINDS.items():
            calibrator = kind.fit(distance, z_n[rest], grade[rest], inner)
            graded = mean_prediction(_on_plane(calibrator, w, b), z_n[out], doubt[out])
            severity[name][out], p_grade[name][out] = graded.severity, graded.p_grade
    return {kind: Graded(severity[kind], p_grade[kind]) for kind in KINDS}


def _concatenated(repeats: list[Graded]) -> Graded:
    """The predictions of several repeats one after the other."""
    severity = np.concatenate([graded.severity for graded in repeats])
    return Graded(severity, np.concatenate([graded.p_grade for graded in repeats]))


def _scores(kind: str, graded: Graded, grade: Whole, fracture_grade: int) -> dict[str, Any]:
    """How well one kind did out of fold. macro_mae: mean absolute error averaged over grades."""
    from sklearn.metrics import cohen_kappa_score, roc_auc_score  # see calibrators.py: only fitting waits for it

    error = np.abs(graded.severity - grade)
    rounded = np.digitize(graded.severity, [0.5, 1.5, 2.5])
    return {
        "kind": kind,
        "ranked_probability_score": float(ranked_probability_scores(graded.p_grade, grade).mean()),
        "mae": float(error.mean()),
        "macro_mae": float(np.mean([error[grade == value].mean() for value in np.unique(grade)])),
        "qwk": float(cohen_kappa_score(grade, rounded, weights="quadratic", labels=GRADES)),
        "auc": float(roc_auc_score(grade >= fracture_grade, graded.p_at_least(fracture_grade))),
        "order_of_fractures": _rank_correlation(graded.severity[grade > 0], grade[grade > 0]),
    }


def _rank_correlation(severity: Floats, grade: Whole) -> float:
    """Spearman's rho, 0 where one of the two does not vary."""
    from scipy.stats import spearmanr

    varies = len(np.unique(severity)) > 1 and len(np.unique(grade)) > 1
    return float(spearmanr(severity, grade).statistic) if varies else 0.0


def _compare_with_best(
    scores: list[dict[str, Any]], out_of_fold: dict[str, Graded], grade: Whole, patient: Whole
) -> None:
    """Add to each row how much worse its score is than the best one's, and the standard error of that over patients."""
    best = min(scores, key=lambda row: row["ranked_probability_score"])["kind"]
    of_best = ranked_probability_scores(out_of_fold[best].p_grade, grade)
    for row in scores:
        worse = ranked_probability_scores(out_of_fold[row["kind"]].p_grade, grade) - of_best
        of_patient = np.bincount(patient, worse - worse.mean())
        row["worse_than_best"] = float(worse.mean())
        row["standard_error"] = float(np.sqrt(np.sum(of_patient**2)) / len(worse))


def best_kind(scores: list[dict[str, Any]]) -> str:
    """The kind that orders the fractures best among those that predict no worse than the best by a standard error.

    The training patients do not distinguish kinds within one standard error (the rule of Breiman et al., CART, 1984,
    section 3.4.3; over patients here). Severity is meant to rank fractures, so that decides between them.
    """
    near = [row for row in scores if row["worse_than_best"] <= row["standard_error"]]
    return str(max(near, key=lambda row: row["order_of_fractures"])["kind"])
