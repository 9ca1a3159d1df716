"""Cumulative logistic regression (proportional odds; McCullagh, J R Stat Soc B 1980) with a ridge on the slopes.

P(grade <= g_k) = sigmoid(theta_k - v.x) for the grades g_0 < ... < g_K that occur. The ridge keeps the fit finite when
the grades are separable; statsmodels' OrderedModel has none and diverges there.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit, log_expit

from vertegrade.arrays import Floats
from vertegrade.grading.rows import GradingError, Whole
from vertegrade.tables import GRADES


@dataclass(frozen=True, eq=False)
class CumulativeLogit:
    """v: (D,) slopes. theta: (K,) rising thresholds between the K+1 grades that occurred in training."""

    v: Floats
    theta: Floats
    grades: list[int]

    def predictor(self, x: Floats) -> Floats:
        """v.x - theta_1 of predictors (N, D): log odds that the grade is above the lowest one."""
        value: Floats = x @ self.v - self.theta[0]
        return value

    def probabilities(self, x: Floats) -> Floats:
        """P(grade = 0 ... 3) as (N, 4) for predictors (N, D); 0 for grades that did not occur in training."""
        below = expit(self.theta[None, :] - (x @ self.v)[:, None])
        edges = np.concatenate([np.zeros((len(x), 1)), below, np.ones((len(x), 1))], axis=1)
        result = np.zeros((len(x), len(GRADES)))
        result[:, self.grades] = np.diff(edges, axis=1)
        return result

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON."""
        return {"v": self.v.tolist(), "theta": self.theta.tolist(), "grades": self.grades}

    @classmethod
    def from_dict(cls, numbers: dict[str, Any]) -> "CumulativeLogit":
        """The model of `to_dict`."""
        return cls(
            np.array(numbers["v"], dtype=np.float64), np.array(numbers["theta"], dtype=np.float64), numbers["grades"]
        )


def fit_cumulative_logit(
    x: Floats, grade: Whole, ridge: float, rising: bool = False, balance: float = 0.0
) -> CumulativeLogit:
    """Maximise sum_i c_i log P(grade_i) - ridge/2 |v|^2 by L-BFGS. x: (N, D), best with unit variance. grade: (N,) 0-3.

    rising: slopes stay above zero, so that the severity rises with each predictor whatever the data say.
    balance: c_i is (share of the grade)^-balance, with mean 1: 0 weighs vertebrae alike, 1 grades alike. With
    more than 0 the probabilities are those of a cohort with more of the rare grades.
    """
    from scipy.optimize import minimize  # see calibrators.py: only fitting waits for it

    grades, kind, counts = np.unique(grade, return_inverse=True, return_counts=True)
    if len(grades) < 2:
        raise GradingError(f"calibration needs two grades at least; the training data has only grade {grades.tolist()}")
    dimensions, last = x.shape[1], len(grades) - 1
    of_grade = (1 / counts) ** balance
    of_grade *= len(grade) / (of_grade @ counts)
    weight = of_grade[kind]
    shares = np.cumsum(of_grade * counts)[:-1] / len(grade)
    theta = np.log(shares / (1 - shares))
    start = np.concatenate([np.zeros(dimensions), theta[:1], np.log(np.diff(theta))])

    def objective(parameters: Floats) -> tuple[float, Floats]:
        """Penalised negative log-likelihood and gradient in (v, theta_1, log of the gaps between thresholds)."""
        v, gaps = parameters[:dimensions], np.exp(parameters[dimensions + 1 :])
        theta = parameters[dimensions] + np.concatenate([[0.0], np.cumsum(gaps)])
        score = x @ v
        upper = np.append(theta, np.inf)[kind] - score
        lower = np.append(-np.inf, theta)[kind] - score
        # log(s(u) - s(l)) = log s(u) + log s(-l) + log(1 - exp(-(u - l))), stable in both tails
        gap = np.concatenate([[np.inf], gaps, [np.inf]])[kind]
        value = -weight @ (log_expit(upper) + log_expit(-lower) + np.log(-np.expm1(-gap))) + ridge / 2 * v @ v
        shared = np.where(np.isfinite(gap), 1 / np.expm1(np.minimum(gap, 700.0)), 0.0)
        by_upper = np.bincount(kind, weight * (expit(-upper) + shared), last + 1)[:last]
        by_lower = np.bincount(kind, -weight * (expit(lower) + shared), last + 1)[1:]
        by_theta = by_upper + by_lower
        by_gap = gaps * np.cumsum(by_theta[::-1])[::-1][1:]
        by_v = -((weight * (expit(-upper) - expit(lower))) @ x)
        return value, -np.concatenate([by_v - ridge * v, [by_theta.sum()], by_gap])

    bounds = [(1e-6 if rising else None, None)] * dimensions + [(None, None)] * last
    options = {"maxiter": 2000, "gtol": 1e-6}
    result = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    gaps = np.exp(result.x[dimensions + 1 :])
    theta = result.x[dimensions] + np.concatenate([[0.0], np.cumsum(gaps)])
    return CumulativeLogit(result.x[:dimensions], theta, [int(value) for value in grades])
