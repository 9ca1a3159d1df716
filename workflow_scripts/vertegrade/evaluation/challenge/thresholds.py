"""Where a method's severity means a fracture: the loss from which on it notices one, and a threshold by specificity."""

import math

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from vertegrade.arrays import Floats
from vertegrade.evaluation.metrics import Flags, ratio

SPECIFICITY = 0.95
LEAST_PATIENTS = 3  # for a threshold, and for any interval
WANTED = 0.8  # a loss counts as noticed from this sensitivity on
MIDDLE, SCALE = 0.3, 0.1  # loss in tenths around 30 %
STEEPEST, WIDEST = 5.0, 10.0  # weak prior (standard deviations) of slope and level, where classes separate
NEWTON_STEPS, LARGEST_STEP, CONVERGED = 60, 2.0, 1e-8


def thresholds(cases: pd.DataFrame) -> Floats:
    """Severity (N,) beyond which each case counts as noticed at SPECIFICITY; NaN where it cannot be known.

    cases: VIRTUAL_CASES of one method. For the cases of a patient it is chosen on the graded sham and untouched
    vertebrae of all other patients: of n of them the one with rank ceil(0.95 (n + 1)), so that a new one lies above it
    with a probability of at most 5 % (as in conformal prediction). That needs 19 of them and LEAST_PATIENTS patients.
    """
    control = (cases["kind"].isin(["sham", "untouched"]) & cases["evaluable"]).to_numpy(dtype=bool)
    severity, patient = cases["severity"].to_numpy(dtype=float), cases["patient_id"].to_numpy(dtype=str)
    found = np.full(len(cases), np.nan)
    if len(np.unique(patient)) < LEAST_PATIENTS:
        return found
    for one in np.unique(patient):
        others = np.sort(severity[control & (patient != one)])
        rank = math.ceil(SPECIFICITY * (len(others) + 1))
        if rank <= len(others):
            found[patient == one] = others[rank - 1]
    return found


def loss_noticed(loss: Floats, noticed: Flags, weights: Floats) -> Floats:
    """Loss (B,) from which on at least WANTED of the fractures are noticed, of resamples with case weights (B, N).

    By logistic regression of noticed on loss (fraction), maximum a posteriori with weak normal priors, so that it
    exists where the two separate. The smallest loss where all are noticed; 1 where none is; NaN where fewer are noticed
    the more is lost.
    """
    percents, place = np.unique(np.rint(100 * loss), return_inverse=True)  # thousands of losses would take minutes
    one_of = np.eye(len(percents))[place]
    all_there, seen_there = weights @ one_of, weights @ (one_of * noticed[:, None])
    x = (percents / 100 - MIDDLE) / SCALE
    level, slope = np.zeros(len(weights)), np.zeros(len(weights))
    for _ in range(NEWTON_STEPS):
        mu = expit(level[:, None] + slope[:, None] * x)
        residual, information = seen_there - all_there * mu, all_there * mu * (1 - mu)
        g0, g1 = residual.sum(axis=1) - level / WIDEST**2, residual @ x - slope / STEEPEST**2
        h00 = information.sum(axis=1) + 1 / WIDEST**2
        h01, h11 = information @ x, information @ x**2 + 1 / STEEPEST**2
        steps = np.stack([h11 * g0 - h01 * g1, h00 * g1 - h01 * g0]) / (h00 * h11 - h01**2)
        level, slope = np.stack([level, slope]) + steps.clip(-LARGEST_STEP, LARGEST_STEP)
        if np.abs(steps).max(initial=0) < CONVERGED:
            break
    seen = ratio(seen_there.sum(axis=1), all_there.sum(axis=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        at = np.where(slope > 0, MIDDLE + SCALE * (logit(WANTED) - level) / slope, np.nan)
    smallest = percents.min(initial=100) / 100
    return np.where(seen == 1, smallest, np.where(seen == 0, 1.0, at.clip(smallest, 1.0)))
