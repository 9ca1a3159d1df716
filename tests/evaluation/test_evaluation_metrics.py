"""Each metric equals the reference implementation, plain and as a resample's weights; undefined is NaN."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.special import expit, logit
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score, cohen_kappa_score, f1_score, roc_auc_score

from vertegrade.evaluation.metrics import (
    auc,
    average_precision,
    calibration_intercept,
    calibration_slope,
    confusion,
    macro_f1,
    mean,
    quadratic_kappa,
    share,
    spearman,
)

RNG = np.random.default_rng(3)
N = 300
WEIGHTS = RNG.multinomial(N, np.full(N, 1 / N), size=4).astype(float)
DRAWN = [np.repeat(np.arange(N), row.astype(int)) for row in WEIGHTS]
GRADE = RNG.choice(4, N, p=[0.6, 0.2, 0.1, 0.1])
SEVERITY = np.round(np.clip(GRADE + RNG.normal(0, 0.8, N), 0, 3), 1)  # rounded: many ties
POSITIVE = GRADE >= 1
P = expit(1.3 * SEVERITY - 1.5)
CALLED = np.rint(SEVERITY).astype(int)


def test_auc_of_each_resample_is_that_of_the_replicated_sample():
    expected = [roc_auc_score(POSITIVE[i], SEVERITY[i]) for i in DRAWN]
    np.testing.assert_allclose(auc(SEVERITY, POSITIVE, WEIGHTS), expected, atol=1e-12)


def test_auc_does_not_change_under_a_monotone_rescaling():
    np.testing.assert_allclose(auc(np.exp(3 * SEVERITY), POSITIVE, WEIGHTS), auc(SEVERITY, POSITIVE, WEIGHTS))


def test_auc_of_scores_is_not_the_auc_of_hard_labels():
    hard = auc((SEVERITY >= 0.5).astype(float), POSITIVE, WEIGHTS)
    assert (auc(SEVERITY, POSITIVE, WEIGHTS) > hard + 0.01).all()


def test_average_precision_is_scikit_learns():
    expected = [average_precision_score(POSITIVE[i], SEVERITY[i]) for i in DRAWN]
    np.testing.assert_allclose(average_precision(SEVERITY, POSITIVE, WEIGHTS), expected, atol=1e-12)


def test_macro_f1_is_scikit_learns():
    counts = confusion(GRADE, CALLED, WEIGHTS)
    expected = [f1_score(GRADE[i], CALLED[i], average="macro") for i in DRAWN]
    np.testing.assert_allclose(macro_f1(counts), expected, atol=1e-12)


def test_macro_f1_leaves_out_a_grade_that_nobody_has():
    true, called = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])
    assert macro_f1(confusion(true, called, np.ones((1, 4))))[0] == pytest.approx((2 / 3 + 0.8) / 2)


def test_quadratic_kappa_is_scikit_learns():
    expected = [cohen_kappa_score(GRADE[i], CALLED[i], weights="quadratic") for i in DRAWN]
    np.testing.assert_allclose(quadratic_kappa(confusion(GRADE, CALLED, WEIGHTS)), expected, atol=1e-12)


def test_spearman_is_scipys_with_ties():
    loss = GRADE / 4 + RNG.normal(0, 0.1, N)
    expected = [spearmanr(SEVERITY[i], loss[i]).statistic for i in DRAWN]
    np.testing.assert_allclose(spearman(SEVERITY, loss, WEIGHTS), expected, atol=1e-12)


def test_recalibration_is_the_logistic_regression_of_statsmodels():
    drawn = DRAWN[0]
    y, x = POSITIVE[drawn].astype(float), logit(P[drawn])
    slope = sm.GLM(y, sm.add_constant(x), family=sm.families.Binomial()).fit(tol=1e-12).params[1]
    large = sm.GLM(y, np.ones((len(y), 1)), offset=x, family=sm.families.Binomial()).fit(tol=1e-12).params[0]
    assert calibration_slope(P, POSITIVE, WEIGHTS)[0] == pytest.approx(slope, abs=1e-6)
    assert calibration_intercept(P, POSITIVE, WEIGHTS)[0] == pytest.approx(large, abs=1e-6)


def test_recalibration_of_separated_classes_is_undefined():
    p = np.array([0.1, 0.2, 0.3, 0.7, 0.8, 0.9])
    assert np.isnan(calibration_slope(p, p > 0.5, np.ones((1, 6)))[0])


def test_share_and_mean_weigh_each_case():
    weights = np.array([[1.0, 1.0, 2.0, 0.0]])
    flags = np.array([True, False, True, True])
    assert share(flags, np.full(4, True), weights)[0] == 0.75
    assert mean(np.array([1.0, 2.0, 3.0, 100.0]), weights)[0] == 2.25


@pytest.mark.parametrize("positive", [np.full(4, True), np.full(4, False)])
def test_one_class_leaves_the_ranking_metrics_undefined(positive):
    score, weights = np.array([0.1, 0.2, 0.3, 0.4]), np.ones((2, 4))
    assert np.isnan(auc(score, positive, weights)).all()
    assert np.isnan(calibration_slope(score, positive, weights)).all()


def test_no_cases_at_all_are_undefined_and_no_error():
    nothing, none, weights = np.zeros(0), np.zeros(0, dtype=bool), np.zeros((3, 0))
    grades = np.zeros(0, dtype=np.int64)
    values = [
        auc(nothing, none, weights),
        average_precision(nothing, none, weights),
        spearman(nothing, nothing, weights),
        calibration_slope(nothing, none, weights),
        macro_f1(confusion(grades, grades, weights)),
        quadratic_kappa(confusion(grades, grades, weights)),
        mean(nothing, weights),
    ]
    assert all(value.shape == (3,) and np.isnan(value).all() for value in values)
