"""The MLP that makes four classes of two answers, fitted to patients from whom the network did not learn."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from vertegrade.metastasis.classes import CLASSES
from vertegrade.metastasis.network.losses import class_of
from vertegrade.metastasis.network.model import BoneNetwork
from vertegrade.metastasis.network.predict import logits_of
from vertegrade.metastasis.network.vertebrae import Vertebrae

ITERATIONS = 200
DECAY = 1e-3  # keeps logits of separable classes finite


def fit_fusion(network: BoneNetwork, vertebrae: Vertebrae, device: str, smoothing: float) -> dict[str, float]:
    """Fit the MLPs of slices and of vertebrae in place; returns their losses. Classes count equally.

    ValueError where the vertebrae lack a class.
    """
    found = logits_of(network, vertebrae, device)
    levels: dict[str, tuple[Tensor, Tensor]] = {
        "slices": (found.slices.flatten(0, 1), class_of(torch.from_numpy(vertebrae.slice_answers)).flatten()),
        "vertebrae": (network.of_vertebrae(found.slices), torch.from_numpy(vertebrae.classes)),
    }
    losses = {}
    for level, (logits, classes) in levels.items():
        known = classes >= 0
        counts = np.bincount(classes[known].numpy(), minlength=len(CLASSES))
        if not counts.all() and level == "vertebrae":
            _refuse(counts)
        losses[f"fusion_loss_{level}"] = _fit(network, level, logits[known], classes[known], counts, smoothing)
    return losses


def _fit(
    network: BoneNetwork, level: str, logits: Tensor, classes: Tensor, counts: NDArray[np.int64], smoothing: float
) -> float:
    mlp = network.fusions[level].cpu().requires_grad_(True)
    present = torch.from_numpy(counts).clamp(min=1)
    weights = (len(classes) / present / int((counts > 0).sum())).float()
    optimiser = torch.optim.LBFGS(mlp.parameters(), max_iter=ITERATIONS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        cost = functional.cross_entropy(mlp(logits), classes, weight=weights, label_smoothing=smoothing)
        cost = cost + DECAY * sum((weight**2).sum() for weight in mlp.parameters())
        cost.backward()
        return cost

    optimiser.step(loss)
    last = float(loss().detach())
    mlp.requires_grad_(False)
    return last


def _refuse(counts: NDArray[np.int64]) -> None:
    missing = ", ".join(name for name, count in zip(CLASSES, counts, strict=True) if not count)
    raise ValueError(
        f"no vertebra of the patients that the MLP learns from is {missing}; add patients, raise "
        "metastasis.train.fusion_patients, or set metastasis.network.fusion: product"
    )
