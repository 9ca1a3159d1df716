"""What each vertebra of a batch costs: its own answer, those of its slices that are known, and the auxiliary task."""

import torch
from torch import Tensor
from torch.nn import functional

from vertegrade.metastasis.network.model import Answers, BoneNetwork


def main_losses(
    network: BoneNetwork, found: Answers, answers: Tensor, classes: Tensor, slice_answers: Tensor, smoothing: float
) -> Tensor:
    """Loss (B,) of each vertebra and of its slices, equally.

    answers (B, 2), classes (B,), slice_answers (B, S, 2): what is true, -1 where unknown; unknown costs nothing.
    smoothing: share of a target that is moved to the other answer, or evenly to all classes (Szegedy 2016).
    """
    whole, of_slices = network.of_vertebrae(found.slices), class_of(slice_answers)
    losses = torch.zeros_like(whole[:, 0])
    if network.shape.tasks == "two":
        losses = _two(whole, answers, smoothing) + _mean_known(
            _two(found.slices, slice_answers, smoothing), (slice_answers >= 0).any(-1)
        )
    if network.has_classes("vertebrae"):
        losses = losses + _of_classes(network.class_logits(whole, "vertebrae"), classes, smoothing)
    if network.has_classes("slices"):
        each = _of_classes(network.class_logits(found.slices, "slices"), of_slices, smoothing)
        losses = losses + _mean_known(each, of_slices >= 0)
    return losses


def side_losses(found: Answers, sides: Tensor, slice_sides: Tensor, smoothing: float) -> Tensor:
    """Loss (B,) of posterolateral involvement of vertebrae (B,) and their slices (B, S)."""
    each = functional.cross_entropy(
        found.slice_sides.flatten(0, 1), slice_sides.flatten(), ignore_index=-1, label_smoothing=smoothing,
        reduction="none",
    ).unflatten(0, slice_sides.shape)  # fmt: skip
    whole = functional.cross_entropy(found.sides, sides, ignore_index=-1, label_smoothing=smoothing, reduction="none")
    return whole + _mean_known(each, slice_sides >= 0)


def _of_classes(logits: Tensor, classes: Tensor, smoothing: float) -> Tensor:
    """Cross-entropy of known classes, (...), from logits (..., 4)."""
    each = functional.cross_entropy(
        logits.flatten(0, -2), classes.flatten(), ignore_index=-1, label_smoothing=smoothing, reduction="none"
    )
    return each.unflatten(0, classes.shape)


def _two(logits: Tensor, answers: Tensor, smoothing: float) -> Tensor:
    """Sum over the two tasks of the cross-entropy of known answers, (...)."""
    targets = answers.clamp(min=0).to(logits.dtype) * (1 - smoothing) + smoothing / 2
    each = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return (each * (answers >= 0)).sum(dim=-1)


def _mean_known(losses: Tensor, known: Tensor) -> Tensor:
    """Mean over the slices (B, S) of which something is known; 0 where nothing is."""
    return (losses * known).sum(dim=1) / known.sum(dim=1).clamp(min=1)


def class_of(answers: Tensor) -> Tensor:
    """Place in CLASSES of two answers (..., 2): normal 0, blastic 1, mixed 2, lytic 3; -1 where one is unknown."""
    blastic, lytic = answers[..., 0], answers[..., 1]
    named = torch.where(lytic == 1, torch.where(blastic == 1, 2, 3), blastic)
    return torch.where((answers >= 0).all(dim=-1), named, -1)
