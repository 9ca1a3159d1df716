"""Steps in the latent space: what z_sem changes by when a vertebra loses given heights.

Learned from pairs of crops of one vertebra that differ by a known collapse alone (virtual_fractures/crops.py). One
direction for all fractures, as the normal of a hyperplane, averages wedge, biconcave and crush. Here the step from the
losses a to the losses b of the three columns is

    z' - z = A (f(b) - f(a)) + sum_c (b_c - a_c) B_c z,    f(l) = losses, their squares and products,

by ridge regression on standardised latents, so that it depends on the shape and on the vertebra itself.
"""

import json
from dataclasses import dataclass
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from vertegrade.arrays import Floats
from vertegrade.files import new_file
from vertegrade.weights import WeightsError, read_arrays

STEPS_FORMAT = "vertegrade-steps-1"
RIDGES = (30.0, 100.0, 300.0, 1000.0, 3000.0)
FEW = 1e-3  # penalty of the part that does not depend on the vertebra: keeps it finite where there are few pairs
FOLDS = 5
COLUMNS, FEATURES = 3, 9  # losses; they, their squares and products


@dataclass(frozen=True, eq=False)
class Steps:
    """mean, scale: (D,) of the latents of the training vertebrae as they are. weights: (9 + 3 D, D), standardised.

    ridge: the penalty that patients left out chose. explained: share of the steps' variance that it explains in
    patients left out; None where there are too few to tell. vertebrae, patients: that it was learned from; with fewer
    than two vertebrae there are no steps. model_sha256: weights of the encoder.
    """

    mean: Floats
    scale: Floats
    weights: Floats
    ridge: float
    explained: float | None
    vertebrae: int
    patients: int
    model_sha256: str

    def moved(self, z: Floats, before: Floats, after: Floats) -> Floats:
        """Latents (N, D) of vertebrae z (N, D) whose columns lost `before` (N, 3) when they have lost `after` (N, 3).

        Losses are fractions of the height that an intact vertebra would have, anterior to posterior.
        """
        standard = (z - self.mean) / self.scale
        moved: Floats = z + _design(standard, before, after) @ self.weights * self.scale
        return moved

    def write(self, path: Path) -> None:
        """As safetensors, with all but the arrays in its metadata, and its `facts` for the model card."""
        arrays = {name: getattr(self, name) for name in ("mean", "scale", "weights")}
        plain = {name: value for name, value in vars(self).items() if name not in arrays}
        with new_file(path) as temporary:
            facts = {name: str(plain[name]) for name in ("vertebrae", "patients")}
            metadata = {"vertegrade": json.dumps(plain | {"format": STEPS_FORMAT, "facts": facts}, sort_keys=True)}
            safetensors.numpy.save_file(arrays, temporary, metadata)

    @classmethod
    def read(cls, path: str | Path) -> "Steps":
        """The steps of `write`; WeightsError where the file is damaged or foreign."""
        arrays, metadata = read_arrays(path, "DAE")
        numbers: dict[str, Any] = {**arrays, **metadata}
        if numbers.pop("format", "") != STEPS_FORMAT:
            raise WeightsError(f"{path}: not the steps of this DAE; fit them again")
        del numbers["facts"]
        return cls(**numbers)


def _design(standard: Floats, before: Floats, after: Floats) -> Floats:
    """Predictors (N, 9 + 3 D) of the step of standardised latents (N, D)."""
    lost = after - before
    of_vertebra = (lost[:, :, None] * standard[:, None, :]).reshape(len(lost), COLUMNS * standard.shape[1])
    return np.concatenate([_features(after) - _features(before), of_vertebra], axis=1)


def _features(losses: Floats) -> Floats:
    """Losses (N, 3), their squares and products (N, 9)."""
    products = [losses[:, a] * losses[:, b] for a, b in combinations_with_replacement(range(COLUMNS), 2)]
    return np.column_stack([losses, *products])


def fit_steps(z: Floats, losses: Floats, vertebra: NDArray[np.int64], patient: NDArray[np.str_], sha256: str) -> Steps:
    """Steps from latents (N, D) of crops whose columns lost `losses` (N, 3).

    vertebra: (N,) which crops show the same vertebra; patient: (N,) whose it is. Each vertebra has one crop without any
    loss. The penalty is chosen by five folds of patients. With fewer than two vertebrae all steps are 0.
    """
    size = z.shape[1]
    if len(np.unique(vertebra)) < 2:
        nothing = np.zeros((FEATURES + COLUMNS * size, size))
        return Steps(np.zeros(size), np.ones(size), nothing, RIDGES[-1], None, 0, 0, sha256)
    intact = (losses == 0).all(axis=1)
    mean: Floats = z[intact].mean(axis=0)
    scale: Floats = np.maximum(z[intact].std(axis=0), 1e-6)
    standard = (z - mean) / scale
    first, second = _pairs(vertebra)
    design = _design(standard[first], losses[first], losses[second])
    step: Floats = standard[second] - standard[first]
    ridge, explained = _choose_ridge(design, step, patient[first])
    counts = (len(np.unique(vertebra)), len(np.unique(patient)))
    return Steps(mean, scale, _ridge(design, step, ridge), ridge, explained, *counts, sha256)


def _pairs(vertebra: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """All ordered pairs of different crops of one vertebra."""
    same = vertebra[:, None] == vertebra[None]
    np.fill_diagonal(same, False)
    first, second = np.nonzero(same)
    return first, second


def _ridge(design: Floats, step: Floats, ridge: float) -> Floats:
    penalty = np.full(design.shape[1], ridge, np.float64)
    penalty[:FEATURES] = FEW
    return np.asarray(np.linalg.solve(design.T @ design + np.diag(penalty), design.T @ step), np.float64)


def _choose_ridge(design: Floats, step: Floats, patient: NDArray[np.str_]) -> tuple[float, float | None]:
    """The penalty that explains most of the steps of patients left out, and the share that it explains.

    With fewer than two patients nobody can be left out: the middle penalty, and None.
    """
    _, number = np.unique(patient, return_inverse=True)
    if number.max() < 1:
        return RIDGES[len(RIDGES) // 2], None
    total = float((step**2).sum())
    shares = []
    for ridge in RIDGES:
        missed = 0.0
        for fold in range(min(FOLDS, int(number.max()) + 1)):
            out = number % FOLDS == fold
            missed += float(((step[out] - design[out] @ _ridge(design[~out], step[~out], ridge)) ** 2).sum())
        shares.append(1 - missed / total)
    best = int(np.argmax(shares))
    return RIDGES[best], shares[best]
