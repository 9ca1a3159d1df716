"""Patches of phantom spines for the training of the network of see.py: bodies, and places that are no body's centre."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vertegrade.ct.volume import AIR_HU
from vertegrade.levels import SACRUM
from vertegrade.localizer.detector.samples import WIDE, SpineSample
from vertegrade.localizer.image_augmentation import affine, varied
from vertegrade.localizer.sight.see import GEOMETRY, SIZE, SLABS

POOLED = 2  # pixels of a sample that become one
TURN_DEG, ZOOM, SHEAR = 14.0, 0.2, 0.1
OFF_MM = 4.0  # a given or found centre may stray so far along and across the spine
ASIDE = 3  # slabs (18 mm) to the side are outside of the body
ELSEWHERE = 0.4  # share of places that are no body's centre


@dataclass(frozen=True, eq=False)
class Spine:
    """A straightened spine at half the sample's resolution and its bodies, head to feet, without the sacrum.

    pixels: int16 (S, H, W). centres: (n, 3), slice, row and column. steps: (n,), pixels to the nearest other body.
    """

    pixels: np.ndarray
    centres: np.ndarray
    steps: np.ndarray


def spine_of(sample: SpineSample) -> Spine:
    """A sample of the detector made smaller."""
    slices, height, width = (n - n % POOLED for n in sample.pixels.shape)
    slices = len(sample.pixels)
    cells = sample.pixels[:, :height, :width].reshape(slices, height // POOLED, POOLED, width // POOLED, POOLED)
    pixels = np.rint(cells.mean(axis=(2, 4))).astype(np.int16)
    known = (sample.labels != SACRUM) & np.isfinite(sample.centres).all(axis=1)
    centres = (sample.centres - [0, (POOLED - 1) / 2, (POOLED - 1) / 2]) / [1, POOLED, POOLED]
    everyone = centres[np.isfinite(centres).all(axis=1), 1]
    apart = np.abs(centres[known, 1][:, None] - everyone)
    apart[apart < 1e-3] = np.inf
    steps = apart.min(axis=1) if apart.shape[1] > 1 else np.full(known.sum(), 20.0 / POOLED)
    return Spine(pixels, centres[known], steps)


def sight_batch(spines: list[Spine], size: int, seed: int, step: int) -> tuple[Tensor, Tensor]:
    """Patches (B, SLABS, SIZE, SIZE), -1 to 1, and whether they show a body, (B,), of a training step."""
    rng = np.random.default_rng([seed, step])
    drawn = [_draw(spines[n], rng) for n in rng.integers(0, len(spines), size)]
    return torch.stack([patch for patch, _ in drawn]), torch.tensor([is_body for _, is_body in drawn])


def _draw(spine: Spine, rng: np.random.Generator) -> tuple[Tensor, float]:
    """A patch of a body, turned, scaled and varied, or of a place aside, above, below, before or behind it."""
    n = rng.integers(len(spine.centres))
    is_body = bool(rng.random() > ELSEWHERE)
    slab, *place = spine.centres[n]
    pixel_mm = WIDE.pixel_mm * POOLED
    off = rng.uniform(-OFF_MM, OFF_MM, 2) / pixel_mm
    aside = rng.uniform(-0.5, 0.5)
    if not is_body:
        more, aside = _elsewhere(spine.steps[n], pixel_mm, rng)
        off = off / 2 + more
    angle, shear = np.deg2rad(rng.uniform(-TURN_DEG, TURN_DEG)), rng.uniform(-SHEAR, SHEAR)
    scale = GEOMETRY.pixel_mm / pixel_mm * np.exp(rng.uniform(-ZOOM, ZOOM))
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle) + shear, np.cos(angle)]]) * scale
    middle = np.clip(round(slab + aside), 0, len(spine.pixels) - 1)
    slabs = np.clip(np.arange(SLABS) - SLABS // 2 + middle, 0, len(spine.pixels) - 1)
    if rng.random() < 0.5:
        slabs = slabs[::-1]
    source = np.array(place) + off
    hu = affine(torch.from_numpy(spine.pixels[slabs].astype(np.float32)), matrix, source, SIZE, SIZE)
    rows = source[0] + matrix[0, 0] * (np.arange(SIZE) - (SIZE - 1) / 2)
    hu[:, torch.from_numpy((rows < 0) | (rows > spine.pixels.shape[1] - 1))] = AIR_HU
    return varied(_cut(hu, rng), rng), float(is_body)


def _elsewhere(step: float, pixel_mm: float, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """How far (rows, columns) and how many slabs aside of a body a place lies that is no body's centre."""
    kind = rng.random()
    up = rng.choice([-1.0, 1.0])
    if kind < 0.5:  # between two bodies
        return np.array([up * step * rng.uniform(0.42, 0.58), 0.0]), 0.0
    if kind < 0.7:
        return np.array([rng.uniform(-0.5, 0.5) * step, 0.0]), up * rng.uniform(ASIDE - 0.4, ASIDE + 1)
    return np.array([rng.uniform(-0.5, 0.5) * step, up * rng.uniform(14, 32) / pixel_mm]), rng.uniform(-2, 2)


def _cut(hu: Tensor, rng: np.random.Generator) -> Tensor:
    """Sometimes air beyond a row or a column: scans end anywhere, and fields of view are small."""
    for axis in (1, 2):
        if rng.random() < 0.25:
            reach = int(rng.integers(SIZE // 5, SIZE // 2))
            kept = slice(SIZE // 2 + reach, SIZE) if rng.random() < 0.5 else slice(0, SIZE // 2 - reach)
            hu[(slice(None),) * axis + (kept,)] = AIR_HU
    return hu
