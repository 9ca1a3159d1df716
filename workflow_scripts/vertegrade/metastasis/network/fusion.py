"""The MLP that makes four classes of two answers, fitted to patients from whom the network did not learn."""

import logging
from copy import deepcopy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from vertegrade.metastasis.classes import CLASSES
from vertegrade.metastasis.network.losses import class_of
from vertegrade.metastasis.network.model import BoneNetwork, Level
from vertegrade.metastasis.network.predict import logits_of
from vertegrade.metastasis.network.vertebrae import Vertebrae

log = logging.getLogger(__name__)
ITERATIONS = 200
# Penalties of the squared weights, of which patients left out choose one: these patients are few, and an MLP of a small
# penalty learns them by heart.
DECAYS = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
FOLDS = 5


def fit_fusion(network: BoneNetwork, vertebrae: Vertebrae, device: str, smoothing: float) -> dict[str, float]:
    """Fit the MLPs of slices and of vertebrae in place; returns their losses and penalties. Classes count equally.

    A level whose known cases lack a class loses its MLP, and its figure `fused_{level}` is 0: of normal slices alone
    (all that is known where only vertebrae have labels) an MLP learns to say normal of everything.
    """
    found = logits_of(network, vertebrae, device)
    _, patients = np.unique(vertebrae.labels["patient_id"], return_inverse=True)
    each = vertebrae.slice_answers.shape[1]
    levels: dict[Level, tuple[Tensor, Tensor, NDArray[np.int64]]] = {
        "slices": (
            found.slices.flatten(0, 1),
            class_of(torch.from_numpy(vertebrae.slice_answers)).flatten(),
            np.repeat(patients, each),
        ),
        "vertebrae": (network.of_vertebrae(found.slices), torch.from_numpy(vertebrae.classes), patients),
    }
    figures: dict[str, float] = {}
    for level, (logits, classes, patient) in levels.items():
        known = classes >= 0
        counts = np.bincount(classes[known].numpy(), minlength=len(CLASSES))
        figures[f"fused_{level}"] = float(counts.all())
        if not counts.all():
            missing = " or ".join(name for name, count in zip(CLASSES, counts, strict=True) if not count)
            log.warning(
                "none of the %s that the MLP would learn from is known to be %s: it is left out", level, missing
            )
            network.drop_fusion(level)
            continue
        mlp = network.fusions[level].cpu()
        decay = best_decay(mlp, logits[known], classes[known], patient[known.numpy()] % FOLDS, smoothing)
        loss = fit_mlp(mlp, logits[known], classes[known], decay, smoothing)
        figures |= {f"fusion_loss_{level}": loss, f"fusion_decay_{level}": decay}
    return figures


def fit_mlp(mlp: nn.Module, logits: Tensor, classes: Tensor, decay: float, smoothing: float) -> float:
    """Fit an MLP in place to logits (N, 2) and classes (N,), each class as much as the others; returns its loss."""
    mlp.requires_grad_(True)
    weights = _weights(classes)
    optimiser = torch.optim.LBFGS(mlp.parameters(), max_iter=ITERATIONS, line_search_fn="strong_wolfe")

    def penalised() -> Tensor:
        optimiser.zero_grad()
        cost = _loss(mlp(logits), classes, weights, smoothing)
        cost = cost + decay * sum((weight**2).sum() for weight in mlp.parameters())
        cost.backward()
        return cost

    optimiser.step(penalised)
    mlp.requires_grad_(False)
    return float(_loss(mlp(logits), classes, weights, smoothing))


def best_decay(mlp: nn.Module, logits: Tensor, classes: Tensor, folds: NDArray[np.int64], smoothing: float) -> float:
    """The penalty with the least loss of patients who were left out; the largest of one patient alone."""
    weights, losses = _weights(classes), {}
    if len(np.unique(folds)) < 2:
        return DECAYS[-1]
    for decay in DECAYS:
        answers = torch.zeros(len(classes), len(CLASSES))
        for fold in np.unique(folds):
            left_out = torch.from_numpy(folds == fold)
            fitted = deepcopy(mlp)
            fit_mlp(fitted, logits[~left_out], classes[~left_out], decay, smoothing)
            answers[left_out] = fitted(logits[left_out])
        losses[decay] = float(_loss(answers, classes, weights, smoothing))
    return min(losses, key=lambda decay: losses[decay])


def _weights(classes: Tensor) -> Tensor:
    return (1 / torch.bincount(classes, minlength=len(CLASSES)).clamp(min=1))[classes]


def _loss(logits: Tensor, classes: Tensor, weights: Tensor, smoothing: float) -> Tensor:
    """Mean cross-entropy, weighted by answer (N,).

    Not by torch's `weight`, which also weighs what smoothing gives to the other classes: the many normal slices would
    teach the rare classes more than their own.
    """
    each = functional.cross_entropy(logits, classes, label_smoothing=smoothing, reduction="none")
    return (weights * each).sum() / weights.sum()
