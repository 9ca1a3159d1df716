"""Calibrators and the ordinal model by hand, and against scikit-learn."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression

from vertegrade.grading.calibrators import (
    Z_RIDGES,
    Graded,
    Isotonic,
    Linear,
    OrdinalDistance,
    OrdinalZ,
    expected_grade,
    ranked_probability_scores,
)
from vertegrade.grading.ordinal import CumulativeLogit, fit_cumulative_logit


def many_dimensions(count: int = 200, dimensions: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(z_n, grade, folds): two dimensions rise with the grade, the others are noise that a fit learns by heart."""
    random = np.random.default_rng(2)
    z = random.normal(size=(count, dimensions))
    grade = np.digitize(z[:, 0] + 0.5 * z[:, 1] + random.normal(size=count), [0.8, 1.5, 2.4])
    return z, grade, np.arange(count) % 4


def test_the_expected_grade_and_the_probability_of_a_grade_or_more_by_hand() -> None:
    p_grade = np.array([[0.4, 0.3, 0.2, 0.1], [0.0, 0.0, 0.0, 1.0]])
    graded = expected_grade(p_grade)
    np.testing.assert_allclose(graded.severity, [1.0, 3.0])
    for grade, wanted in enumerate(([1, 1], [0.6, 1], [0.3, 1], [0.1, 1])):
        np.testing.assert_allclose(Graded(graded.severity, p_grade).p_at_least(grade), wanted)


def test_the_line_by_hand() -> None:
    distance, grade = np.array([0.0, 1.0, 2.0, 5.0]), np.array([0, 0, 2, 2])
    fit = Linear.fit(distance, np.empty((4, 0)), grade, np.zeros(4, np.int64))
    slope, intercept = np.polyfit(distance, grade, 1)
    residual = grade - (intercept + slope * distance)
    assert (fit.slope, fit.intercept) == pytest.approx((slope, intercept))
    assert fit.residual_sd == pytest.approx(np.sqrt((residual**2).mean()))
    raw = intercept + slope * 3.0
    below = norm.cdf((np.array([0.5, 1.5, 2.5]) - raw) / fit.residual_sd)
    found = fit.predict(np.array([3.0, 99.0]), np.empty((2, 0)))
    np.testing.assert_allclose(found.p_grade[0], np.diff([0, *below, 1]))
    np.testing.assert_allclose(found.severity, [raw, 3.0])


def test_a_higher_grade_is_never_likelier_than_a_lower_one_or_more() -> None:
    crossing = Isotonic([([0.0, 1.0], [0.1, 0.2]), ([0.0, 1.0], [0.05, 0.6]), ([], [])])
    found = crossing.predict(np.array([1.0]), np.empty((1, 0)))
    np.testing.assert_allclose(found.p_grade, [[0.8, 0.0, 0.2, 0.0]])
    np.testing.assert_allclose(found.severity, [0.4])


def test_distances_are_standardised_for_the_ordinal_model() -> None:
    random = np.random.default_rng(0)
    distance = random.normal(50, 4, 300)
    grade = np.digitize(distance + random.normal(0, 2, 300), [52, 56, 60])
    fit = OrdinalDistance.fit(distance, np.empty((300, 0)), grade, np.zeros(300, np.int64))
    assert (fit.centre, fit.scale) == pytest.approx((distance.mean(), distance.std()))
    model = fit_cumulative_logit(((distance - distance.mean()) / distance.std())[:, None], grade, 0.1, rising=True)
    np.testing.assert_allclose(fit.model.theta, model.theta, rtol=1e-6)
    shifted = OrdinalDistance.fit(distance + 1000, np.empty((300, 0)), grade, np.zeros(300, np.int64))
    there = shifted.predict(distance + 1000, np.empty((300, 0))).severity
    np.testing.assert_allclose(there, fit.predict(distance, np.empty((300, 0))).severity, atol=1e-6)


def test_the_ridge_of_z_is_the_best_for_folds_left_out() -> None:
    z, grade, folds = many_dimensions()
    scores, links = {}, {}
    for ridge in Z_RIDGES:
        predictor = np.empty(len(grade))
        for fold in range(4):
            out = folds == fold
            predictor[out] = fit_cumulative_logit(z[~out], grade[~out], ridge, balance=0.5).predictor(z[out])
        links[ridge] = Isotonic.fit(predictor, z, grade, folds)
        scores[ridge] = ranked_probability_scores(links[ridge].predict(predictor, z).p_grade, grade).mean()
    best = min(scores, key=lambda ridge: scores[ridge])
    assert Z_RIDGES[0] > best > Z_RIDGES[-1]
    fit = OrdinalZ.fit(np.zeros(len(grade)), z, grade, folds)
    assert (fit.ridge, fit.link) == (best, links[best])
    model = fit_cumulative_logit(z, grade, best, balance=0.5)
    np.testing.assert_array_equal(fit.model.v, model.v)
    found = fit.predict(np.zeros(len(grade)), z)
    np.testing.assert_array_equal(found.severity, links[best].predict(model.predictor(z), z).severity)


@pytest.mark.parametrize("ridge", [0.5, 20.0])
def test_of_two_grades_it_is_the_logistic_regression_of_scikit_learn(ridge: float) -> None:
    z, grade, _ = many_dimensions()
    ill = (grade > 0).astype(np.int64)
    ours = fit_cumulative_logit(z, ill, ridge)
    theirs = LogisticRegression(C=1 / ridge, tol=1e-10, max_iter=10000).fit(z, ill)
    np.testing.assert_allclose(ours.v, theirs.coef_[0], atol=1e-4)
    np.testing.assert_allclose(-ours.theta, theirs.intercept_, atol=1e-4)
    np.testing.assert_allclose(ours.probabilities(z)[:, 1], theirs.predict_proba(z)[:, 1], atol=1e-4)


def test_balanced_grades_count_as_if_all_occurred_as_often() -> None:
    z, grade, _ = many_dimensions(dimensions=3)
    rows = np.concatenate([np.flatnonzero(grade == 0)[:60], np.flatnonzero(grade >= 1)[:20]])
    z, ill = z[rows], (grade[rows] > 0).astype(np.int64)
    often = np.repeat(np.arange(80), np.where(ill, 3, 1))
    # 120 rows stand for the weight of 80, so that the ridge is to be as much larger.
    repeated = fit_cumulative_logit(z[often], ill[often], 2.0 * 120 / 80)
    balanced = fit_cumulative_logit(z, ill, 2.0, balance=1.0)
    np.testing.assert_allclose(balanced.v, repeated.v, atol=1e-4)
    np.testing.assert_allclose(balanced.theta, repeated.theta, atol=1e-4)


def test_probabilities_of_an_ordinal_model_by_hand() -> None:
    model = CumulativeLogit(np.array([2.0]), np.array([0.0, 1.0]), [0, 1, 3])
    (found,) = model.probabilities(np.array([[0.5]]))
    below = 1 / (1 + np.exp(-(np.array([0.0, 1.0]) - 1.0)))
    np.testing.assert_allclose(found, [below[0], below[1] - below[0], 0, 1 - below[1]])
