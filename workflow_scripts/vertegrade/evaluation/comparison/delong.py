"""Areas under ROC curves with their covariance: DeLong et al. 1988, by mid-ranks as in Sun and Xu 2014.

DeLong, DeLong, Clarke-Pearson: Comparing the areas under two or more correlated receiver operating characteristic
curves. Biometrics 44:837-845. Sun, Xu: Fast implementation of DeLong's algorithm for comparing the areas under
correlated receiver operating characteristic curves. IEEE Signal Process Lett 21:1389-1393.

The variance is that of independent cases. Vertebrae of one patient are not, so that of vertebrae these intervals are
too narrow: the bootstrap over patients stands beside them wherever they are shown.
"""

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from vertegrade.arrays import Floats
from vertegrade.evaluation.metrics import Flags

Interval = tuple[float, float]
UNKNOWN: Interval = (float("nan"), float("nan"))


def delong(scores: Floats, positive: Flags) -> tuple[Floats, Floats]:
    """Areas (M,) of M scores (M, N) of the same cases, and their covariance (M, M).

    positive: (N,). The covariance is NaN with fewer than two cases of either class, the areas too without any.
    """
    ones, zeros = scores[:, positive], scores[:, ~positive]
    m, n = ones.shape[1], zeros.shape[1]
    if not m or not n:
        return np.full(len(scores), np.nan), np.full((len(scores), len(scores)), np.nan)
    together = rankdata(np.concatenate([ones, zeros], axis=1), axis=1)
    # Of each positive the share of negatives that it exceeds, and of each negative the share of positives above it.
    above = (together[:, :m] - rankdata(ones, axis=1)) / n
    below = 1 - (together[:, m:] - rankdata(zeros, axis=1)) / m
    areas: Floats = above.mean(axis=1)
    if min(m, n) < 2:
        return areas, np.full((len(scores), len(scores)), np.nan)
    return areas, np.atleast_2d(np.cov(above)) / m + np.atleast_2d(np.cov(below)) / n


def interval(value: float, variance: float, confidence: float, limits: Interval) -> Interval:
    """The normal interval of an area or a difference, cut at its limits; unknown where there is no variance."""
    if not np.isfinite(variance) or variance <= 0:
        return UNKNOWN
    reach = NormalDist().inv_cdf((1 + confidence) / 2) * float(np.sqrt(variance))
    return max(limits[0], value - reach), min(limits[1], value + reach)


def contrast(covariance: Floats, one: int, other: int) -> float:
    """Variance of the difference of two areas."""
    cells: NDArray[np.float64] = covariance[np.ix_([one, other], [one, other])]
    return float(cells[0, 0] + cells[1, 1] - 2 * cells[0, 1])
