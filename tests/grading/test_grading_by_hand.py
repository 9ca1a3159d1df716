"""What is fitted to a small cohort, written a second time: calibration, intervals, predictions, novelty."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from helpers.simulated_latents import appearance_of, cohort
from vertegrade.grading import calibrators
from vertegrade.grading.calibration import Calibration, _compare_with_best, calibrate
from vertegrade.grading.calibrators import KINDS, Graded, ranked_probability_scores
from vertegrade.grading.conformal import Predicted, fit_intervals
from vertegrade.grading.decision_rules import fit_grade_scale
from vertegrade.grading.grade_scale import grade_of, on_scale
from vertegrade.grading.hyperplane import (
    Hyperplane,
    choose_penalty,
    cross_fitted_distance,
    fit_hyperplane,
    fit_plane,
    plane_distance,
)
from vertegrade.grading.novelty import LIMIT, Novelty, _excess, fit_distance, fit_novelty, patient_weights
from vertegrade.grading.novelty import appearance_of as looks_of
from vertegrade.grading.patients import fit_patient_rule
from vertegrade.grading.prediction import predict, with_novelty, with_patients
from vertegrade.grading.rows import graded_latents, in_split, patient_folds, stack_latents
from vertegrade.settings.grading import GradingSettings
from vertegrade.tables import has_flag

SETTINGS = GradingSettings(folds=3)
Tables = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]
Fitted = tuple[Tables, Hyperplane, Calibration]


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """Two ridges instead of seven: which one is chosen is told in test_grading_calibrators.py."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibrators, "Z_RIDGES", (300.0, 10.0))
        yield


@pytest.fixture(scope="module")
def tables() -> Tables:
    """LATENTS, LABELS and PATIENT_SPLITS of few patients with few vertebrae; three of them have only two left."""
    latents, labels, splits = cohort(patients=50, vertebrae=6, dimensions=6, seed=3)
    short = latents["patient_id"].isin(splits["patient_id"].iloc[[0, 31, 45]]) & (latents["vertebra"] > 9)
    return latents[~short].reset_index(drop=True), labels[~short].reset_index(drop=True), splits


@pytest.fixture(scope="module")
def fitted(tables: Tables) -> Fitted:
    plane = fit_hyperplane(*tables, SETTINGS, seed=1)
    return tables, plane, calibrate(*tables, plane, SETTINGS, seed=1)


@pytest.fixture(scope="module")
def novelty(fitted: Fitted) -> Novelty:
    (latents, _, splits), plane, calibration = fitted
    return fit_novelty(latents, appearance_of(latents), splits, plane, calibration)


@pytest.fixture(scope="module")
def predictions(fitted: Fitted) -> pd.DataFrame:
    (latents, _, splits), plane, calibration = fitted
    return predict(latents, plane, calibration, splits, "dae")


def nested(z_n: np.ndarray, grade: np.ndarray, patient: np.ndarray, kind: str, classifier: str, seed: int) -> Graded:
    """Predictions of one kind, each by a plane, a penalty and a calibrator that never saw the patient."""
    severity, p_grade = np.empty(len(grade)), np.empty((len(grade), 4))
    outer = patient_folds(grade, patient, 1, SETTINGS.folds, seed, least=3)
    for fold in np.unique(outer):
        out = outer == fold
        z, ill, owner = z_n[~out], grade[~out] >= 1, patient[~out]
        inner = patient_folds(grade[~out], owner, 1, SETTINGS.folds, seed)
        penalty, _, distance = choose_penalty(z, ill, inner, classifier)
        w, b = fit_plane(z, ill, classifier, penalty)
        calibrator = KINDS[kind].fit(distance, z, grade[~out], inner)
        graded = calibrator.predict(plane_distance(z_n[out], w, b), z_n[out])
        severity[out], p_grade[out] = graded.severity, graded.p_grade
    return Graded(severity, p_grade)


def test_all_numbers_of_a_calibration_follow_from_patients_left_out(fitted: Fitted) -> None:
    """By hand, of the kind that was chosen: score, scale, intervals, patients; and the final calibrators."""
    (latents, labels, splits), plane, calibration = fitted
    train, held = (graded_latents(latents, labels, splits, split) for split in ("train", "validation"))
    z_n, kind = plane.normalise(train.z), calibration.chosen
    repeats = [nested(z_n, train.grade, train.patient, kind, SETTINGS.classifier, 1 + n) for n in range(3)]
    severity = np.concatenate([graded.severity for graded in repeats])
    together = Graded(severity, np.concatenate([graded.p_grade for graded in repeats]))
    grade, patient = np.tile(train.grade, 3), np.tile(train.patient, 3)
    (row,) = [row for row in calibration.scores if row["kind"] == kind]
    wanted = ranked_probability_scores(together.p_grade, grade).mean()
    assert row["ranked_probability_score"] == pytest.approx(wanted, rel=1e-9)
    folds = patient_folds(train.grade, train.patient, 1, SETTINGS.folds, 1)
    scale = fit_grade_scale(together, grade, 1, np.tile(folds, 3))
    assert (calibration.scale.limits, calibration.scale.rule) == (pytest.approx(scale.limits), scale.rule)
    assert calibration.scale.scores == pytest.approx(scale.scores)
    distance = cross_fitted_distance(z_n, train.grade >= 1, folds, plane.classifier, plane.C)
    for name, fit in KINDS.items():
        assert calibration.calibrators[name].to_dict() == fit.fit(distance, z_n, train.grade, folds).to_dict()
    new = calibration.calibrators[kind].predict(plane.signed_distance(held.z), plane.normalise(held.z))
    groups = [
        Predicted(on_scale(together, scale), grade, patient),
        Predicted(on_scale(new, scale), held.grade, held.patient),
    ]
    assert calibration.intervals.limits == pytest.approx(fit_intervals(groups, SETTINGS.coverage).limits)
    scaled = [on_scale(graded, scale) for graded in repeats]
    rule = fit_patient_rule(scaled, train.grade, train.patient, 1, SETTINGS.folds, 1)
    assert (rule is None) == (calibration.patient is None)
    if rule and calibration.patient:
        assert calibration.patient.limit == pytest.approx(rule.limit)


def test_how_sure_a_difference_of_kinds_is_counts_patients() -> None:
    """Two patients, whose vertebrae are all alike: the standard error is that of two, not of twenty."""
    grade, patient = np.zeros(20, np.int64), np.repeat([0, 1], 10)
    sure = np.tile([1.0, 0, 0, 0], (20, 1))
    unsure = np.where(patient[:, None] == 0, [0.8, 0.2, 0, 0], [0.9, 0.1, 0, 0])
    both = {"a": Graded(np.zeros(20), sure), "b": Graded(np.zeros(20), unsure)}
    rows = [{"kind": kind, "ranked_probability_score": score} for kind, score in (("a", 0.0), ("b", 0.025))]
    _compare_with_best(rows, both, grade, patient)
    assert (rows[0]["worse_than_best"], rows[0]["standard_error"]) == (0, 0)
    assert rows[1]["worse_than_best"] == pytest.approx((0.04 + 0.01) / 2)
    # 10 vertebrae each lie 0.015 from the mean, all to one side within a patient
    assert rows[1]["standard_error"] == pytest.approx(np.sqrt(2 * (10 * 0.015) ** 2) / 20)


def test_a_measured_prediction_is_the_mean_over_errors_in_the_latents_own_space(fitted: Fitted) -> None:
    (latents, _, _), plane, calibration = fitted
    z = stack_latents(latents)[:40]
    error = z.std(axis=0) * np.random.default_rng(0).normal(size=z.shape[1])
    errors = np.tile(error, (40, 1, 1))
    places, weights = np.polynomial.hermite_e.hermegauss(5)
    unknown = replace(calibration, usual_errors=[])
    usual = replace(calibration, usual_errors=[0.6 * float(np.linalg.norm(error))])
    for of, share in ((unknown, 1.0), (usual, 0.8)):  # 0.6^2 + 0.8^2 = 1
        predictor = of.calibrators[of.chosen]
        moved = [z + place * share * error for place in places]
        each = [predictor.predict(plane.signed_distance(there), plane.normalise(there)).p_grade for there in moved]
        wanted = np.tensordot(weights / weights.sum(), np.stack(each), 1)
        np.testing.assert_allclose(of.predict_measured(z, errors, plane).p_grade, wanted, atol=1e-6)


def test_a_fracture_begins_where_the_calibration_says(fitted: Fitted) -> None:
    (latents, _, splits), plane, calibration = fitted
    rows = predict(latents, plane, replace(calibration, fracture_grade=2), splits, "dae")
    np.testing.assert_allclose(rows["p_fracture"], rows["p_grade_2"] + rows["p_grade_3"])


def test_the_numbers_stand_in_their_own_columns(fitted: Fitted, predictions: pd.DataFrame) -> None:
    (latents, _, _), plane, calibration = fitted
    z = stack_latents(latents)
    graded = calibration.predict(plane.signed_distance(z), plane.normalise(z))
    low, high = calibration.intervals.bounds(graded)
    wanted = {"severity": graded.severity, "severity_low": low, "severity_high": high}
    wanted |= {f"p_grade_{grade}": graded.p_grade[:, grade] for grade in range(4)}
    np.testing.assert_array_equal(predictions["grade"], grade_of(graded.severity))
    for name, values in (wanted | {"signed_distance": plane.signed_distance(z)}).items():
        np.testing.assert_allclose(predictions[name], values, atol=1e-12, err_msg=name)


def test_only_training_patients_set_distances_and_only_validation_patients_set_limits(
    fitted: Fitted, novelty: Novelty
) -> None:
    (latents, _, splits), *model = fitted
    looks = appearance_of(latents)

    def moved(split: str) -> Novelty:
        """Fitted anew where the patients of a split have other latents and images."""
        far = latents["patient_id"].isin(splits.loc[splits["split"] == split, "patient_id"]).to_numpy()
        z = [z + 3 * odd for z, odd in zip(latents["z"], far, strict=True)]
        x = [x + np.float32(odd) for x, odd in zip(looks["x"], far, strict=True)]
        return fit_novelty(latents.assign(z=z), looks.assign(x=x), splits, *model)

    assert moved("test").to_dict() == novelty.to_dict()
    by_validation = moved("validation").to_dict()
    learned = ("latent", "image", "contrasts", "offsets")
    assert {name: by_validation[name] for name in learned} == {name: novelty.to_dict()[name] for name in learned}
    assert by_validation["limits"] != novelty.to_dict()["limits"]
    assert (novelty.vertebrae, novelty.patients) == (6 * 10 - 4, 10)


def test_a_sign_at_its_limit_is_one_and_the_usual_one_is_zero(novelty: Novelty) -> None:
    """By hand: of signs as large as usual at a severity, and of those at the limit there."""
    severity = np.array([0.0, 2.5])
    usual = novelty.usual[0] + severity[:, None] * novelty.usual[1]
    width = np.exp(severity[:, None] * novelty.usual[2]) * novelty.limits
    np.testing.assert_allclose(_excess(usual, severity, novelty.usual, novelty.limits), 0, atol=1e-12)
    np.testing.assert_allclose(_excess(usual + width, severity, novelty.usual, novelty.limits), 1)
    assert np.abs(novelty.usual[1:]).max() > 0
    assert LIMIT == 0.99


def test_the_level_of_the_signs_is_that_of_validation_patients(fitted: Fitted, novelty: Novelty) -> None:
    (latents, _, splits), *model = fitted
    rows = in_split(latents, splits, "validation")
    z = stack_latents(rows)
    x = looks_of(rows, appearance_of(latents))
    severity = model[1].predict_measured(z, np.zeros((len(z), 0, z.shape[1])), model[0]).severity
    excess = novelty.excess(z, x, severity) * novelty.limits * np.exp(severity[:, None] * novelty.usual[2])
    np.testing.assert_allclose(patient_weights(rows["patient_id"]) @ excess, 0, atol=1e-9)


def test_what_is_beyond_its_limit_is_unlike_and_withheld_and_looked_at_when_severe(
    fitted: Fitted, novelty: Novelty, predictions: pd.DataFrame
) -> None:
    latents, looks = fitted[0][0], appearance_of(fitted[0][0])
    far = predictions.index % 3 == 0
    looks = looks.assign(x=[x + np.float32(9 * odd) for x, odd in zip(looks["x"], far, strict=True)])
    judged = with_novelty(predictions, latents, looks, novelty, True)
    shares = novelty.shares(stack_latents(latents), looks_of(latents, looks), predictions["severity"].to_numpy())
    np.testing.assert_array_equal(judged["novelty"], shares)
    unlike = shares >= LIMIT
    assert unlike[far].all()
    np.testing.assert_array_equal(has_flag(judged, "unlike_training"), unlike)
    np.testing.assert_array_equal(has_flag(judged, "look_at_this"), unlike & (predictions["grade"] >= 2))
    assert set(predictions["grade"][unlike]) == {0, 1, 2, 3}
    np.testing.assert_array_equal(judged["evaluable"], ~unlike)
    assert judged.loc[unlike, ["severity", "p_fracture", "severity_low", "p_grade_0"]].isna().all(axis=None)
    assert (judged.loc[unlike, "grade"] == -1).all()
    rule = fitted[2].patient
    assert rule is not None
    both = with_patients(judged, fitted[2])
    for name, rows in both.groupby("patient_id"):
        seen = rows[rows["evaluable"]]
        if len(seen):
            p = rule.probabilities(seen["p_fracture"].to_numpy(), seen["severity"].to_numpy(), np.zeros(len(seen), int))
            assert rows["patient_p_fracture"].iloc[0] == pytest.approx(p[0]), name
            assert rows["patient_fractured"].iloc[0] == (p[0] >= rule.limit)


def test_the_most_unusual_sign_says_how_unusual_a_vertebra_is(fitted: Fitted, novelty: Novelty) -> None:
    (latents, _, _), plane, calibration = fitted
    z, x = stack_latents(latents), looks_of(latents, appearance_of(latents))
    severity = calibration.predict(plane.signed_distance(z), plane.normalise(z)).severity
    worst = novelty.excess(z, x, severity).max(axis=1)
    found = [(novelty.scores < value).sum() / 1000 for value in worst]
    np.testing.assert_allclose(novelty.shares(z, x, severity), found)


def test_no_number_alone_makes_a_vertebra_unusual() -> None:
    """By hand: six spreads from the median is as far as a number counts."""
    x = np.random.default_rng(0).normal(size=(200, 3))
    distance = fit_distance(x)
    at_limit = distance.median + np.array([6 * distance.spread[0], 0, 0])
    beyond = distance.median + np.array([1e9, 0, 0])
    np.testing.assert_allclose(distance.log_of(beyond[None]), distance.log_of(at_limit[None]))
    lower = distance.median + np.array([5 * distance.spread[0], 0, 0])
    assert distance.log_of(lower[None]) < distance.log_of(at_limit[None])
