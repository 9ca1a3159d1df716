"""Training of the detector and the refiner on phantom scans alone, from nothing to a weights file."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from vertegrade.ct.volume import Volume
from vertegrade.files import sha256_of
from vertegrade.localizer.detector import KIND, VertebraNetwork
from vertegrade.localizer.detector_network import detector_loss
from vertegrade.localizer.detector_samples import detector_batch, load_sample, save_sample, spine_sample
from vertegrade.localizer.refiner_network import refiner_loss
from vertegrade.localizer.refiner_samples import LookSamples, load_looks, look_samples, refiner_batch, save_looks
from vertegrade.localizer.training import train_network
from vertegrade.localizer.weights import load_weights, save_weights
from vertegrade.phantom.patient import Patient, draw_patient
from vertegrade.phantom.physics import acquire
from vertegrade.phantom.protocol import draw_protocol, generator
from vertegrade.phantom.render import render
from vertegrade.phantom.training_scan import training_scan
from vertegrade.phantom.truth import body_table
from vertegrade.settings.phantom import PhantomSettings

log = logging.getLogger(__name__)
DETECTOR_BATCH, DETECTOR_RATE = 6, 1.5e-3
REFINER_BATCH, REFINER_RATE = 24, 2e-3


def make_samples(folder: Path, seed: int, count: int) -> None:
    """Write samples of `count` phantom scans (`NUMBER.spine.npz`, `NUMBER.look.npz`); those already there are kept.

    Odd numbers are `training_scan`s, hard in every respect; even ones are scanned as the default cohort is, whose
    finer pixels show more of the endplates.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        looks = folder / f"{number:05d}.look.npz"
        if looks.exists():
            continue
        volume, truth = training_scan(seed, number) if number % 2 else cohort_scan(seed, number)
        rng = np.random.default_rng([seed, number])
        save_sample(folder / f"{number:05d}.spine.npz", spine_sample(volume, truth, rng))
        save_looks(looks, look_samples(volume, truth, rng))
        log.info("sample %d of %d: %d vertebrae", number + 1, count, len(truth))


def cohort_scan(seed: int, number: int) -> tuple[Volume, pd.DataFrame]:
    """A scan as the default phantom cohort has it, and all bodies that it shows (as `training_scan` returns them).

    Every other one has a shell of up to four times the thickness: real endplates look thicker than the phantom's.
    """
    settings = PhantomSettings()
    patient = draw_patient(f"loc{number:06d}", settings, seed)
    if number % 4 == 2:
        patient = _thick_shelled(patient, float(np.exp(np.random.default_rng([seed, number, 1]).uniform(0.26, 1.39))))
    protocol = draw_protocol(f"loc{number:06d}-1", patient, settings.acquisition, seed)
    hu, _ = render(patient, protocol.fine_origin_mm, protocol.fine_shape, protocol.fine_spacing_mm)
    delivered = acquire(hu, protocol, generator(seed, "acquire", protocol.scan_id))
    truth = body_table(patient, protocol.origin_mm, protocol.shape, protocol.spacing_mm, protocol.scan_id)
    return Volume(np.ascontiguousarray(delivered), protocol.affine), truth


def _thick_shelled(patient: Patient, factor: float) -> Patient:
    """The patient with thicker and softer cortex all round; no surface moves, so that the truth stays."""
    softer = max(factor**-0.4, 0.5)
    materials = [
        replace(v.material, cortex_mm=v.material.cortex_mm * factor, cortical_hu=v.material.cortical_hu * softer)
        for v in patient.vertebrae
    ]
    return replace(
        patient, vertebrae=tuple(replace(v, material=m) for v, m in zip(patient.vertebrae, materials, strict=True))
    )


def train_vertebra_network(
    samples: list[Path],
    state_dir: Path,
    weights: Path,
    detector_steps: int,
    refiner_steps: int,
    seed: int,
    device: str,
    start: Path | None = None,
    facts: dict[str, str] | None = None,
) -> dict[str, float]:
    """Train both networks on samples (folders of `make_samples`) and write them to one file; goes on after a kill.

    start: weights to go on from (a network trained elsewhere, to be adapted), else from nothing.
    Returns the metrics of both trainings. Raises as `train_network` does; ValueError where there are no samples.
    """
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        network = VertebraNetwork()
    if start is not None:
        load_weights(start, network, KIND)
        network.requires_grad_(True)
    metrics = train_refiner(network, samples, state_dir / "refiner", refiner_steps, seed, device)
    metrics |= train_detector(network, samples, state_dir / "detector", detector_steps, seed, device)
    about = {"seed": str(seed), "start": sha256_of(start) if start else ""}
    # Without the seconds: the same samples and seed give the same bytes.
    about |= {name: f"{value:.6g}" for name, value in metrics.items() if not name.endswith("_seconds")}
    save_weights(weights, network, KIND, about | (facts or {}))
    return metrics


def train_refiner(
    network: VertebraNetwork, samples: list[Path], state_dir: Path, steps: int, seed: int, device: str
) -> dict[str, float]:
    """Train the refiner in place; its metrics."""
    parts = [load_looks(file) for file in _files(samples, "look")]
    looks = LookSamples(np.concatenate([p.pixels for p in parts]), np.concatenate([p.points for p in parts]))
    log.info("refiner: %d looks of %d scans", len(looks.pixels), len(parts))

    def batch(step: int) -> tuple[Tensor, Tensor]:
        return refiner_batch(looks, REFINER_BATCH, seed, step)

    done = train_network(network.refiner, batch, refiner_loss, steps, REFINER_RATE, state_dir, seed, device)
    return {f"refiner_{name}": value for name, value in done.items()} | {"looks": float(len(looks.pixels))}


def train_detector(
    network: VertebraNetwork, samples: list[Path], state_dir: Path, steps: int, seed: int, device: str
) -> dict[str, float]:
    """Train the detector in place; its metrics."""
    spines = [load_sample(file) for file in _files(samples, "spine")]
    log.info("detector: %d scans", len(spines))

    def batch(step: int) -> tuple[Tensor, Tensor]:
        return detector_batch(spines, DETECTOR_BATCH, seed, step)

    done = train_network(network.detector, batch, detector_loss, steps, DETECTOR_RATE, state_dir, seed, device)
    return {f"detector_{name}": value for name, value in done.items()} | {"scans": float(len(spines))}


def _files(folders: list[Path], kind: str) -> list[Path]:
    files = [file for folder in folders for file in sorted(folder.glob(f"*.{kind}.npz"))]
    if not files:
        raise ValueError(f"{', '.join(map(str, folders))}: no samples; run make_samples first")
    return files
