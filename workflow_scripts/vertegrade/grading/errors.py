"""Predictions of latents whose errors are known: the mean over where the latents may really be.

A calibrator is fitted to latents as they were measured, so it includes the usual errors, but not those of a point that
a network hardly saw. A vertebra's prediction is the mean over its errors less the usual ones. As the mean over several
grades is wide, so is its interval (conformal.py). Latents of unknown errors are predicted unchanged.
"""

from collections.abc import Callable

import numpy as np

from vertegrade.arrays import Floats
from vertegrade.grading.calibrators import Graded

# Gauss-Hermite nodes per error: exact for a cubic spread over five; a calibrator's steps are no narrower.
NODES = 5
CHUNK = 2000  # vertebrae at a time: bounds the memory


def usual_lengths(errors: Floats) -> list[float]:
    """Root mean square length of each of the errors (N, K, D) over those vertebrae whose errors are known."""
    squares = np.sum(errors**2, axis=2)
    known = squares.sum(axis=1) > 0
    return [float(value) for value in np.sqrt(squares[known].mean(axis=0))] if known.any() else []


def unusual(errors: Floats, usual: list[float]) -> Floats:
    """The errors (N, K, D) less the usual lengths (K): what is to be added to the usual variance to get theirs.

    Without usual lengths, because no error was known in training, all of it. Without errors, none.
    """
    if not usual or not errors.shape[1]:
        return errors
    lengths = np.linalg.norm(errors, axis=2)
    share = np.divide(np.array(usual), lengths, out=np.ones_like(lengths), where=lengths > 0)
    return errors * np.sqrt(np.clip(1 - share**2, 0, None))[:, :, None]


def mean_prediction(predict: Callable[[Floats], Graded], z: Floats, errors: Floats) -> Graded:
    """Severity and grade probabilities of z (N, D), each the mean over normal errors along the vectors (N, K, D).

    What has no error is predicted unchanged, to the last bit.
    """
    graded = predict(z)
    doubtful = np.flatnonzero((errors != 0).any(axis=(1, 2)))
    if not len(doubtful):
        return graded
    severity, p_grade = graded.severity.copy(), graded.p_grade.copy()
    steps, weights = _nodes(errors.shape[1])
    for start in range(0, len(doubtful), CHUNK):
        rows = doubtful[start : start + CHUNK]
        places = z[rows, None] + np.einsum("qk,nkd->nqd", steps, errors[rows])
        there = predict(places.reshape(-1, z.shape[1]))
        severity[rows] = there.severity.reshape(len(rows), -1) @ weights
        p_grade[rows] = np.einsum("nqg,q->ng", there.p_grade.reshape(len(rows), len(weights), -1), weights)
    return Graded(severity, p_grade)


def _nodes(errors: int) -> tuple[Floats, Floats]:
    """Places (Q, K) of standard normal errors and their weights (Q,), which sum to 1."""
    places, weights = np.polynomial.hermite_e.hermegauss(NODES)
    grid = np.stack(np.meshgrid(*[places] * errors, indexing="ij"), axis=-1).reshape(-1, errors)
    product = np.stack(np.meshgrid(*[weights] * errors, indexing="ij"), axis=-1).reshape(-1, errors).prod(axis=1)
    return grid, product / product.sum()
