"""Intervals: coverage for new patients, width where unsure, clear refusal where they cannot be had."""

import numpy as np
import pytest

from vertegrade.grading.calibrators import Graded, expected_grade
from vertegrade.grading.conformal import Intervals, fit_intervals, predicted_error
from vertegrade.grading.grade_scale import grade_of
from vertegrade.grading.rows import GradingError


def simulated(patients: int, seed: int) -> tuple[Graded, np.ndarray, np.ndarray]:
    """(predictions, grades, patients): patients of 1 to 17 vertebrae who differ in how wrong the predictions are."""
    random = np.random.default_rng(seed)
    patient = np.repeat(np.arange(patients), random.integers(1, 18, patients))
    latent = random.normal(-1.5, 1.5, len(patient))
    observed = latent + (0.4 * np.exp(random.normal(0, 0.4, patients)))[patient] * random.normal(size=len(patient))
    grade = np.digitize(latent, [0, 0.8, 1.6])
    below = 1 / (1 + np.exp(-(np.array([0, 0.8, 1.6]) - observed[:, None]) / 0.25))
    edges = np.column_stack([np.zeros(len(patient)), below, np.ones(len(patient))])
    return expected_grade(np.diff(edges, axis=1)), grade, patient


def coverage(intervals: Intervals, graded: Graded, grade: np.ndarray) -> float:
    """Share inside, before intervals are widened to the vertebra's own grade."""
    return float(np.mean(np.abs(grade - graded.severity) <= intervals.quantile * predicted_error(graded)))


@pytest.mark.parametrize("nominal", [0.8, 0.9])
def test_coverage_over_new_patients_is_the_stated_one(nominal: float) -> None:
    new = simulated(1000, 99)
    found = [coverage(fit_intervals(*simulated(20, seed), nominal), *new[:2]) for seed in range(60)]
    assert np.mean(found) == pytest.approx(nominal, abs=0.02)


def test_an_interval_holds_the_grade_that_it_stands_beside() -> None:
    graded, grade, patient = simulated(50, 1)
    intervals = fit_intervals(graded, grade, patient, 0.8)
    low, high = intervals.bounds(graded)
    own = grade_of(graded.severity)
    assert ((low <= own) & (own <= high)).all()
    assert np.mean((low <= grade) & (grade <= high)) >= coverage(intervals, graded, grade)
    widened = np.abs(graded.severity - own) > intervals.quantile * predicted_error(graded)
    assert widened.any()


def test_patients_count_equally_however_many_vertebrae_they_have() -> None:
    # Nine patients of one vertebra are right, the tenth is wrong in all his hundred: only he lies outside at 0.90.
    graded = Graded(np.zeros(109), np.tile([0.7, 0.1, 0.1, 0.1], (109, 1)))
    grade = np.concatenate([np.zeros(9, np.int64), np.full(100, 3)])
    patient = np.concatenate([np.arange(9), np.full(100, 9)])
    assert fit_intervals(graded, grade, patient, 0.85).quantile == 0.0


def test_intervals_are_wide_where_the_probabilities_are_flat() -> None:
    graded = expected_grade(np.array([[0.97, 0.03, 0, 0], [0.3, 0.3, 0.2, 0.2]]))
    low, high = Intervals(0.8, 0.9, 10, 100).bounds(graded)
    assert (high - low)[1] > 3 * (high - low)[0]


def test_intervals_stay_on_the_scale_and_hold_the_severity() -> None:
    graded, _, _ = simulated(50, 1)
    low, high = Intervals(5.0, 0.9, 10, 100).bounds(graded)
    assert low.min() >= 0
    assert high.max() <= 3
    assert ((low <= graded.severity) & (graded.severity <= high)).all()


def test_predicted_error_by_hand() -> None:
    graded = expected_grade(np.array([[0.5, 0.0, 0.5, 0.0]]))
    np.testing.assert_allclose(predicted_error(graded), [1.0])


def test_too_few_patients_are_a_clear_error() -> None:
    with pytest.raises(GradingError, match="need 9 validation patients with graded vertebrae, there are 8; lower"):
        fit_intervals(*simulated(8, 0), 0.9)
    fit_intervals(*simulated(9, 0), 0.9)
