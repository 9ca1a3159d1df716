"""Training of the centreline's network on phantom scans alone, from nothing to a weights file."""

from pathlib import Path

import torch

from vertegrade.files import sha256_of
from vertegrade.localizer.centreline_network import KIND, CentrelineNetwork, centreline_loss
from vertegrade.localizer.centreline_samples import CentrelineSample, centreline_batches
from vertegrade.localizer.training import train_network
from vertegrade.localizer.weights import load_weights, save_weights

LEARNING_RATE = 3e-3


def train_centreline(
    samples: list[CentrelineSample],
    state_dir: Path,
    weights: Path,
    steps: int,
    seed: int,
    device: str,
    start: Path | None = None,
    facts: dict[str, str] | None = None,
    learning_rate: float = LEARNING_RATE,
) -> dict[str, float]:
    """Train on samples (`cached_samples`) and write the weights with their facts; goes on after a kill.

    start: weights to go on from, else from nothing. facts: more to say about the weights (command, figures).
    Returns the metrics of `train_network` and raises as it does; ValueError where there are no samples.
    """
    if not samples:
        raise ValueError(f"{weights}: no samples to train the centreline's network on; make some first")
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        network = CentrelineNetwork()
    if start is not None:
        load_weights(start, network, KIND)
        network.requires_grad_(True)
    batches = centreline_batches(samples, seed)
    metrics = train_network(network, batches, centreline_loss, steps, learning_rate, state_dir, seed, device)
    about = {"seed": str(seed), "scans": str(len(samples)), "start": sha256_of(start) if start else ""}
    about |= {name: f"{value:.6g}" for name, value in metrics.items()}
    save_weights(weights, network, KIND, about | (facts or {}))
    return metrics
