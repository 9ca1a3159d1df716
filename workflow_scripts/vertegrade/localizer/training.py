"""How the localizer's networks are trained: AdamW, warm-up and half a cosine to zero, averaged (EMA) weights."""

import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from vertegrade.training.loop import Recipe, Training
from vertegrade.training.seeds import own_generators

EMA_DECAY = 0.99
WEIGHT_DECAY = 1e-4
WARM_UP_STEPS = 50
LARGEST_GRADIENT = 1.0
SAVE_EVERY_S = 60.0
LOG_EVERY = 50
BAD_STEPS = 20


def train_network(
    network: nn.Module,
    batch: Callable[[int], tuple[Tensor, ...]],
    loss: Callable[..., Tensor],
    steps: int,
    learning_rate: float,
    folder: Path,
    seed: int,
    device: str,
) -> dict[str, float]:
    """Train in place; afterwards the network has its averaged weights and is in evaluation mode.

    Arguments, metrics and errors are those of `Training`; the network goes to `device`.
    """
    network.to(device)
    recipe = Recipe(
        steps=steps,
        optimisers=[torch.optim.AdamW(network.parameters(), learning_rate, weight_decay=WEIGHT_DECAY)],
        learning_rate=lambda step: learning_rate * schedule(step, steps),
        average=get_ema_multi_avg_fn(EMA_DECAY),
        gradient_clip=LARGEST_GRADIENT,
        bad_steps=BAD_STEPS,
        advice="lower the learning rate or look for damaged samples",
        save_every_s=SAVE_EVERY_S,
        log_every=LOG_EVERY,
    )
    with own_generators(seed, device):
        metrics = Training(network, batch, loss, recipe, folder, seed).run()
    network.eval()
    return metrics


def schedule(step: int, steps: int) -> float:
    """Share of the learning rate at a step: linear warm-up, then half a cosine to zero."""
    return min(1.0, (step + 1) / (WARM_UP_STEPS + 1)) * 0.5 * (1 + math.cos(math.pi * step / steps))
