"""Training of the localizer's three networks from nothing to two weights files; continues after a kill."""

import logging
from functools import partial
from pathlib import Path

import numpy as np
from torch import nn

from vertegrade.localizer.centreline.loss import centreline_loss
from vertegrade.localizer.centreline.network import CentrelineNetwork
from vertegrade.localizer.centreline.samples import CentrelineSample, centreline_batches
from vertegrade.localizer.detector.loss import detector_loss
from vertegrade.localizer.detector.samples import SpineSample, detector_batch
from vertegrade.localizer.networks import CENTRELINE_KIND, VERTEBRAE_KIND, VertebraNetwork
from vertegrade.localizer.refiner.loss import refiner_loss
from vertegrade.localizer.refiner.samples import LookSamples, refiner_batch
from vertegrade.localizer.sample_file import load_sample
from vertegrade.localizer.samples import sample_files
from vertegrade.localizer.training import train_network
from vertegrade.localizer.weights import save_weights
from vertegrade.settings.localizer import LocalizerTrainSettings
from vertegrade.training.seeds import own_generators

log = logging.getLogger(__name__)
CENTRELINE_RATE = 3e-3
DETECTOR_BATCH, DETECTOR_RATE = 6, 1.5e-3
REFINER_BATCH, REFINER_RATE = 24, 2e-3
Metrics = dict[str, float]


def train_localizer(
    samples: Path,
    state_dir: Path,
    centreline: Path,
    vertebrae: Path,
    settings: LocalizerTrainSettings,
    seed: int,
    device: str,
    facts: dict[str, str],
) -> Metrics:
    """Train on a folder of `make_samples` and write the weights of the centreline's network and of the other two.

    state_dir: of checkpoints. facts: what else the metadata of the weights should contain.
    Returns the metrics of all trainings (`train_network`, each name with its network before it) and raises as it does.
    """
    line_network, vertebra_network = initial_networks(seed)
    refiner = train_refiner(vertebra_network.refiner, samples, state_dir, settings.refiner_steps, seed, device)
    detector = train_detector(vertebra_network.detector, samples, state_dir, settings.detector_steps, seed, device)
    line = train_centreline(line_network, samples, state_dir, settings.centreline_steps, seed, device)
    save_weights(vertebrae, vertebra_network, VERTEBRAE_KIND, facts | _told(refiner | detector))
    save_weights(centreline, line_network, CENTRELINE_KIND, facts | _told(line))
    return line | refiner | detector


def initial_networks(seed: int) -> tuple[CentrelineNetwork, VertebraNetwork]:
    """The networks with the random weights that a seed gives; torch's own generators do not change."""
    with own_generators(seed, "cpu"):
        return CentrelineNetwork(), VertebraNetwork()


def train_refiner(network: nn.Module, samples: Path, state_dir: Path, steps: int, seed: int, device: str) -> Metrics:
    """Train the refiner in place."""
    parts = [load_sample(file, LookSamples) for file in sample_files(samples, "look")]
    looks = LookSamples(np.concatenate([p.pixels for p in parts]), np.concatenate([p.points for p in parts]))
    if not len(looks.pixels):
        raise ValueError("no sample has six points; learn from masks, points or phantoms (train_localizer.scans) too")
    log.info("refiner: %d looks of %d scans", len(looks.pixels), len(parts))
    batch = partial(refiner_batch, looks, REFINER_BATCH, seed)
    done = train_network(network, batch, refiner_loss, steps, REFINER_RATE, state_dir / "refiner", seed, device)
    return _named("refiner", done | {"looks": float(len(looks.pixels))})


def train_detector(network: nn.Module, samples: Path, state_dir: Path, steps: int, seed: int, device: str) -> Metrics:
    """Train the detector in place."""
    spines = [load_sample(file, SpineSample) for file in sample_files(samples, "spine")]
    log.info("detector: %d scans", len(spines))
    batch = partial(detector_batch, spines, DETECTOR_BATCH, seed)
    done = train_network(network, batch, detector_loss, steps, DETECTOR_RATE, state_dir / "detector", seed, device)
    return _named("detector", done | {"scans": float(len(spines))})


def train_centreline(network: nn.Module, samples: Path, state_dir: Path, steps: int, seed: int, device: str) -> Metrics:
    """Train the centreline's network in place."""
    scans = [load_sample(file, CentrelineSample) for file in sample_files(samples, "line")]
    log.info("centreline: %d scans", len(scans))
    batch = centreline_batches(scans, seed)
    folder = state_dir / "centreline"
    done = train_network(network, batch, centreline_loss, steps, CENTRELINE_RATE, folder, seed, device)
    return _named("centreline", done | {"scans": float(len(scans))})


def _named(network: str, metrics: Metrics) -> Metrics:
    return {f"{network}_{name}": value for name, value in metrics.items()}


def _told(metrics: Metrics) -> dict[str, str]:
    """Metrics for the weights' metadata: without the seconds, so that the same training gives the same bytes."""
    return {name: f"{value:.6g}" for name, value in metrics.items() if not name.endswith("_seconds")}
