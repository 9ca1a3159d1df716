"""Metrics of fracture grading as weighted, batched array functions.

Every function takes case weights `(B, N)` - B resamples of N cases, a weight being how often the case was drawn - and
returns `(B,)` values, NaN where the metric is undefined for that resample (one class only, no spread). A row of ones
gives the plain metric; whole-number weights give exactly the metric of the replicated sample. So each metric is
written once, for the estimate and for its bootstrap alike. Truth arrays are `(N,)`.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from vertegrade.arrays import Floats

Flags = NDArray[np.bool_]

NEWTON_STEPS = 40
LARGEST_LOGIT = 30.0  # a recalibration coefficient beyond this means separated classes: no finite fit exists
PROBABILITY_FLOOR = 1e-6  # keeps logit(p) finite for p of 0 and 1


def ratio(top: Floats, bottom: Floats) -> Floats:
    """top / bottom, NaN where bottom is zero."""
    return np.divide(top, bottom, out=np.full(np.shape(bottom), np.nan), where=bottom > 0)


def mean(values: Floats, weights: Floats) -> Floats:
    """Weighted mean."""
    return ratio(weights @ values, weights.sum(axis=1))


def share(hit: Flags, among: Flags, weights: Floats) -> Floats:
    """Share of the cases `among` that are `hit`: sensitivity, specificity, recall and coverage are all of this form."""
    return ratio(weights @ (hit & among).astype(float), weights @ among.astype(float))


def _ties(score: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Ascending order of the scores, and where in it each group of equal scores starts."""
    order = np.argsort(score, kind="stable")
    return order, np.flatnonzero(np.diff(score[order], prepend=-np.inf) > 0)


def auc(score: Floats, positive: Flags, weights: Floats) -> Floats:
    """Area under the ROC curve: P(score of a positive > score of a negative), ties counted half (Mann-Whitney)."""
    order, starts = _ties(score)
    positives = np.add.reduceat(weights[:, order] * positive[order], starts, axis=1)
    negatives = np.add.reduceat(weights[:, order] * ~positive[order], starts, axis=1)
    below = np.cumsum(negatives, axis=1) - negatives
    wins = (positives * (below + negatives / 2)).sum(axis=1)
    return ratio(wins, positives.sum(axis=1) * negatives.sum(axis=1))


def average_precision(score: Floats, positive: Flags, weights: Floats) -> Floats:
    """Area under the precision-recall curve as average precision: sum over thresholds of (R_n - R_n-1) P_n."""
    order, starts = _ties(-score)
    positives = np.add.reduceat(weights[:, order] * positive[order], starts, axis=1)
    everyone = np.add.reduceat(weights[:, order], starts, axis=1)
    called = np.cumsum(everyone, axis=1)
    precision = np.divide(np.cumsum(positives, axis=1), called, out=np.zeros_like(called), where=called > 0)
    return ratio((positives * precision).sum(axis=1), positives.sum(axis=1))


def confusion(true: NDArray[np.int64], predicted: NDArray[np.int64], weights: Floats) -> Floats:
    """Counts `(B, 4, 4)`: rows are true grades 0-3, columns predicted grades 0-3."""
    return (weights @ np.eye(16)[true * 4 + predicted]).reshape(-1, 4, 4)


def macro_f1(counts: Floats) -> Floats:
    """Mean F1 over the grades that occur in truth or prediction (scikit-learn's rule), from confusion `(B, 4, 4)`."""
    f1 = ratio(2 * np.einsum("bii->bi", counts), counts.sum(axis=1) + counts.sum(axis=2))
    occurs = np.isfinite(f1)
    return ratio(np.where(occurs, f1, 0).sum(axis=1), occurs.sum(axis=1).astype(float))


def quadratic_kappa(counts: Floats) -> Floats:
    """Quadratic-weighted kappa (Cohen 1968) from confusion `(B, 4, 4)`; NaN when one grade fills both sides."""
    penalty = np.subtract.outer(np.arange(4), np.arange(4)).astype(float) ** 2
    observed = (counts * penalty).sum(axis=(1, 2))
    chance = np.einsum("bi,bj->bij", counts.sum(axis=2), counts.sum(axis=1))
    expected = ratio((chance * penalty).sum(axis=(1, 2)), counts.sum(axis=(1, 2)))
    return 1 - ratio(observed, expected)


def _ranks(values: Floats, weights: Floats) -> Floats:
    """Mid-ranks `(B, N)` of the values within each replicated sample."""
    order, starts = _ties(values)
    group = np.empty(len(values), dtype=np.intp)
    group[order] = np.searchsorted(starts, np.arange(len(values)), side="right") - 1
    size = np.add.reduceat(weights[:, order], starts, axis=1)
    return (np.cumsum(size, axis=1) - size / 2 + 0.5)[:, group]


def spearman(x: Floats, y: Floats, weights: Floats) -> Floats:
    """Spearman's rank correlation; NaN when x or y has no spread."""
    total = weights.sum(axis=1, keepdims=True)
    a, b = _ranks(x, weights), _ranks(y, weights)
    a = a - ratio((weights * a).sum(axis=1, keepdims=True), total)
    b = b - ratio((weights * b).sum(axis=1, keepdims=True), total)
    spread = np.sqrt((weights * a * a).sum(axis=1) * (weights * b * b).sum(axis=1))
    return ratio((weights * a * b).sum(axis=1), spread)


def calibration_error(p: Floats, positive: Flags, bins: NDArray[np.intp], weights: Floats) -> Floats:
    """Expected calibration error (Naeini 2015): mean over cases of |mean p - share positive| in their bin `(N,)`."""
    apart = np.zeros(len(weights))
    for number in np.unique(bins):
        here = bins == number
        apart += np.abs(weights[:, here] @ (p - positive)[here])
    return ratio(apart, weights.sum(axis=1))


def calibration_slope(p: Floats, positive: Flags, weights: Floats) -> Floats:
    """Slope b of the logistic recalibration logit P(y) = a + b logit(p) (Cox 1958): 1 is ideal, < 1 too extreme."""
    return _recalibrate(p, positive, weights, free_slope=True)[1]


def calibration_intercept(p: Floats, positive: Flags, weights: Floats) -> Floats:
    """Calibration in the large: a of logit P(y) = a + logit(p) (Van Calster 2016): 0 is ideal, < 0 overestimates."""
    return _recalibrate(p, positive, weights, free_slope=False)[0]


def _recalibrate(p: Floats, positive: Flags, weights: Floats, free_slope: bool) -> tuple[Floats, Floats]:
    """Newton's method for (a, b) of all resamples at once; NaN where it does not converge or the classes separate."""
    x = logit(np.clip(p, PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR))
    fits = np.column_stack([np.zeros(len(weights)), np.full(len(weights), 0.0 if free_slope else 1.0)])
    done = np.full(len(weights), False)
    active = np.arange(len(weights))
    for _ in range(NEWTON_STEPS):
        step = _newton_step(x, positive, weights[active], fits[active], free_slope)
        fits[active] += step
        done[active] = np.abs(step).max(axis=1, initial=0) < 1e-9
        active = active[~done[active] & (np.abs(fits[active]) < LARGEST_LOGIT).all(axis=1)]
        if not len(active):
            break
    fits[~done] = np.nan
    return fits[:, 0], fits[:, 1]


def _newton_step(x: Floats, positive: Flags, weights: Floats, fits: Floats, free_slope: bool) -> Floats:
    """One Newton step `(B, 2)`; NaN where the information matrix is singular."""
    mu = expit(fits[:, :1] + fits[:, 1:] * x)
    residual, information = weights * (positive - mu), weights * mu * (1 - mu)
    g0, g1 = residual.sum(axis=1), residual @ x
    h00, h01, h11 = information.sum(axis=1), information @ x, information @ x**2
    if not free_slope:
        return np.column_stack([ratio(g0, h00), np.zeros(len(g0))])
    determinant = h00 * h11 - h01**2
    return np.column_stack([ratio(h11 * g0 - h01 * g1, determinant), ratio(h00 * g1 - h01 * g0, determinant)])
