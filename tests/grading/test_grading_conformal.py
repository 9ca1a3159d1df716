"""Intervals: coverage of each grade for new patients, width where unsure, clear refusal where they cannot be had."""

import numpy as np
import pytest

from vertegrade.grading.calibrators import Graded, expected_grade
from vertegrade.grading.conformal import (
    BAND_HIGH,
    BAND_LOW,
    Intervals,
    Predicted,
    fit_intervals,
    grade_scores,
    predicted_error,
)
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


def fit(graded: Graded, grade: np.ndarray, patient: np.ndarray, nominal: float) -> Intervals:
    return fit_intervals([Predicted(graded, grade, patient)], nominal)


def coverage(intervals: Intervals, graded: Graded, grade: np.ndarray) -> list[float]:
    """Share of the vertebrae of each true grade whose grade is accepted by its score alone."""
    inside = grade_scores(graded)[np.arange(len(grade)), grade] <= np.array(intervals.limits)[grade]
    return [float(inside[grade == value].mean()) for value in range(4)]


@pytest.mark.parametrize("nominal", [0.8, 0.9])
def test_coverage_of_each_grade_over_new_patients_is_the_stated_one(nominal: float) -> None:
    new = simulated(1000, 99)
    found = np.mean([coverage(fit(*simulated(200, seed), nominal), *new[:2]) for seed in range(40)], axis=0)
    np.testing.assert_allclose(found[:3], nominal, atol=0.03)
    assert nominal - 0.03 < found[3] < nominal + 0.06  # the surest of grade 3 are alike, so a limit counts many at once


def test_one_limit_for_all_would_fail_the_rare_grades() -> None:
    graded, grade, patient = simulated(1000, 99)
    together = fit(graded, np.zeros_like(grade), patient, 0.9)
    score = grade_scores(graded)[np.arange(len(grade)), grade]
    one = np.quantile(score, 0.9)
    assert min(coverage(Intervals([float(one)] * 4, 0.9, [1000] * 4), graded, grade)) < 0.87
    assert together.patients == [1000, 0, 0, 0]


def test_an_interval_spans_the_severities_of_the_accepted_grades() -> None:
    graded = Graded(np.array([0.2, 1.3, 2.9, 0.0]), np.tile([0.25] * 4, (4, 1)))
    error = predicted_error(graded)
    low, high = Intervals([0.0] * 4, 0.9, [10] * 4).bounds(graded)
    assert list(zip(low, high, strict=True)) == [(0.0, 0.5), (0.5, 1.5), (2.5, 3.0), (0.0, 0.5)]
    reach = Intervals([0.0, 0.0, float(0.7 / error[1]), 0.0], 0.9, [10] * 4)
    assert [bound[1] for bound in reach.bounds(graded)] == [0.5, 2.5]
    # grade 2 alone is accepted beside a severity of 0.2: what lies between belongs to the interval
    far = Intervals([0.0, 0.0, float(1.8 / error[0]), 0.0], 0.9, [10] * 4)
    assert [bound[0] for bound in far.bounds(graded)] == [0.0, 2.5]


def test_an_interval_holds_the_grade_and_the_severity_that_it_stands_beside_and_is_never_a_point() -> None:
    graded, grade, patient = simulated(50, 1)
    intervals = fit(graded, grade, patient, 0.8)
    low, high = intervals.bounds(graded)
    own = grade_of(graded.severity)
    assert ((low <= own) & (own <= high)).all()
    assert ((low <= graded.severity) & (graded.severity <= high)).all()
    assert (high - low).min() >= 0.5
    assert low.min() >= 0
    assert high.max() <= 3
    alone = Intervals([0.0] * 4, 0.9, [10] * 4).accepted(graded)
    assert (alone.sum(axis=1) == 1).all()
    assert alone[np.arange(len(own)), own].all()


def test_patients_count_equally_however_many_vertebrae_they_have() -> None:
    # Nine patients of one vertebra are right, the tenth is wrong in all his hundred: only he lies outside at 0.80.
    graded = Graded(np.concatenate([np.zeros(9), np.full(100, 3.0)]), np.tile([0.7, 0.1, 0.1, 0.1], (109, 1)))
    patient = np.concatenate([np.arange(9), np.full(100, 9)])
    assert fit(graded, np.zeros(109, np.int64), patient, 0.8).limits[0] == 0.0


def test_the_limit_by_hand() -> None:
    # Ten patients of one vertebra, scores 1 ... 10: a share of 0.72 is 0.792 of them beside one more at infinity.
    distance = np.arange(1, 11)
    p_grade = np.stack([1 - 1 / distance**2, 1 / distance**2, np.zeros(10), np.zeros(10)], axis=1)
    graded = Graded(np.zeros(10), p_grade)
    np.testing.assert_allclose(predicted_error(graded), 1 / distance)
    grade, patient = np.ones(10, np.int64), np.arange(10)
    np.testing.assert_allclose(grade_scores(graded)[:, 1], distance)
    for nominal, expected in ((0.72, 8.0), (0.73, 9.0), (0.81, 9.0), (0.82, 10.0), (0.9, 10.0)):
        assert fit(graded, grade, patient, nominal).limits[1] == pytest.approx(expected), nominal


def test_the_group_with_the_larger_limit_of_a_grade_sets_it() -> None:
    one, two = simulated(40, 5), simulated(40, 6)
    alone = [fit(*one, 0.8).limits, fit(*two, 0.8).limits]
    both = fit_intervals([Predicted(*one), Predicted(*two)], 0.8)
    assert both.limits == [max(pair) for pair in zip(*alone, strict=True)]
    assert alone[0] != both.limits != alone[1]
    counted = [[len(np.unique(patient[grade == value])) for value in range(4)] for _, grade, patient in (one, two)]
    assert both.patients == [sum(pair) for pair in zip(*counted, strict=True)]


def test_a_grade_of_too_few_patients_gets_the_largest_limit_of_the_others() -> None:
    graded, grade, patient = simulated(60, 3)
    rare = np.flatnonzero(grade == 2)
    kept = np.ones(len(grade), bool)
    kept[rare[np.isin(patient[rare], np.unique(patient[rare])[8:])]] = False
    intervals = fit(Graded(graded.severity[kept], graded.p_grade[kept]), grade[kept], patient[kept], 0.9)
    assert intervals.patients[2] == 8
    assert intervals.limits[2] == max(intervals.limits[value] for value in (0, 1, 3))
    full = fit(graded, grade, patient, 0.9)
    assert [intervals.limits[value] for value in (0, 1, 3)] == [full.limits[value] for value in (0, 1, 3)]


def test_intervals_are_wide_where_the_probabilities_are_flat() -> None:
    graded = expected_grade(np.array([[0.97, 0.03, 0, 0], [0.3, 0.3, 0.2, 0.2]]))
    low, high = Intervals([1.2] * 4, 0.9, [10] * 4).bounds(graded)
    assert (high - low)[1] > 3 * (high - low)[0]


def test_the_bands_are_those_that_round_to_the_grades() -> None:
    for value in range(4):
        inside = np.array([BAND_LOW[value], (BAND_LOW[value] + BAND_HIGH[value]) / 2])
        assert grade_of(inside).tolist() == [value, value]


def test_predicted_error_by_hand() -> None:
    graded = expected_grade(np.array([[0.5, 0.0, 0.5, 0.0]]))
    np.testing.assert_allclose(predicted_error(graded), [1.0])


def test_too_few_patients_are_a_clear_error() -> None:
    graded, grade, patient = simulated(8, 0)
    with pytest.raises(GradingError, match="need 9 patients with graded vertebrae of the same grade, there are 8; low"):
        fit(graded, grade, patient, 0.9)
    fit(*simulated(9, 0), 0.9)
