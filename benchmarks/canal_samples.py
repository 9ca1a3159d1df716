"""Axial slices of phantoms for the training of the network of localizer/canal/, and its loss."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.interpolate import PchipInterpolator
from torch import Tensor, nn
from torch.nn import functional

from vertegrade.ct.volume import AIR_HU, Volume
from vertegrade.localizer.canal.network import PIXEL_MM, STEP_MM, cell_middles, seen
from vertegrade.localizer.centreline.augmentation import random_hu
from vertegrade.localizer.centreline.low_resolution import low_resolution

SIDES = (64, 96, 128, 160)  # pixels of a training slice
PIXELS_A_STEP = 100_000
TURN_DEG, ZOOM, SHEAR = 20.0, 0.25, 0.12
ELSEWHERE, SKULL = 0.15, 0.06  # shares of slices that need not show the canal, and of drawn heads
CANAL_ENDS = 4  # places from below (S4, S5, coccyx) where the canal is open behind: not told whether it is there
NEAR_EDGE_MM = 10.0
HEAT_MM, DISTANCE_WEIGHT, FAR_MM = 4.0, 0.5, 8.0


@dataclass(frozen=True, eq=False)
class CanalSample:
    """hu: int16 (z, x, y), slices of a scan. origin_mm: RAS mm of the first pixel. places_mm: (n, 3), the canal."""

    hu: np.ndarray
    origin_mm: np.ndarray
    places_mm: np.ndarray


def canal_sample(volume: Volume, places: np.ndarray) -> CanalSample:
    """The sample of a scan and of the places of its canal, head to feet (phantom/anatomy/canal.py)."""
    small = low_resolution(volume, (PIXEL_MM, PIXEL_MM, STEP_MM))
    return CanalSample(np.ascontiguousarray(small.hu.transpose(2, 0, 1)), small.origin_mm, places)


def truth(sample: CanalSample) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each slice the canal's (x, y) in mm from the first pixel, (z, 2), whether it is there, and how sure that is.

    Unknown: above C3, the highest that phantoms have, and around the coccyx. Below it there is none.
    """
    places = sample.places_mm - sample.origin_mm
    z = np.arange(len(sample.hu)) * STEP_MM
    rising = places[np.argsort(places[:, 2])]
    rising = rising[np.append(True, np.diff(rising[:, 2]) > 1.0)]
    along = PchipInterpolator(rising[:, 2], rising[:, :2], axis=0)
    where = along(np.clip(z, rising[0, 2], rising[-1, 2]))
    exists = z > places[-CANAL_ENDS, 2]
    below = z < places[-1, 2] - 15.0
    sure = (exists & (z < places[0, 2])) | below
    return where, exists & ~below, sure


def canal_batch(samples: list[CanalSample], seed: int, step: int) -> tuple[Tensor, ...]:
    """Slices (B, 1, X, Y), windowed; the canal's (x, y), (B, 2), mm from the first pixel; exists; known; (B,)."""
    rng = np.random.default_rng([seed, step])
    shape = int(rng.choice(SIDES)), int(rng.choice(SIDES))
    count = max(4, PIXELS_A_STEP // (shape[0] * shape[1]))
    drawn = [_draw(samples[rng.integers(len(samples))], shape, rng) for _ in range(count)]
    hu, where, exists, known = (torch.stack(parts) for parts in zip(*drawn, strict=True))
    return seen(hu), where, exists, known


def _draw(
    sample: CanalSample, shape: tuple[int, int], rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """One slice, moved, turned, scaled, sheared and varied, with its truth."""
    where, exists, sure = truth(sample)
    n = int(rng.choice(np.flatnonzero(sure))) if sure.any() else 0
    if rng.random() < SKULL:
        hu = torch.from_numpy(_head(shape, rng))
        return _varied(hu, rng), torch.zeros(2), torch.tensor(0.0), torch.tensor(1.0)
    angle, zoom = np.deg2rad(rng.uniform(-TURN_DEG, TURN_DEG)), np.exp(rng.uniform(-ZOOM, ZOOM))
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle) + rng.uniform(-SHEAR, SHEAR), np.cos(angle)]])
    matrix = matrix @ np.diag([rng.choice([-1.0, 1.0]), 1.0]) / zoom  # mm of the scan per mm of the slice
    size = np.array(shape) * PIXEL_MM
    if rng.random() < ELSEWHERE or not exists[n]:
        middle = rng.uniform(0, np.array(sample.hu.shape[1:]) * PIXEL_MM)
    else:
        middle = where[n] + matrix @ (rng.uniform(-0.5, 0.5, 2) * np.maximum(size - 40, 0))
    x, y = ((np.arange(k) - (k - 1) / 2) * PIXEL_MM for k in shape)
    places = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1) @ matrix.T + middle
    grid = torch.from_numpy(2 * (places / PIXEL_MM + 0.5) / np.array(sample.hu.shape[1:]) - 1).float().flip(-1)
    above_air = torch.from_numpy(sample.hu[n].astype(np.float32) - AIR_HU)[None, None]
    hu = functional.grid_sample(above_air, grid[None], align_corners=False)[0, 0] + AIR_HU
    here = np.linalg.solve(matrix, where[n] - middle) + (np.array(shape) - 1) / 2 * PIXEL_MM
    inner = float(np.minimum(here, size - here).min())
    known = bool(sure[n]) and (not exists[n] or abs(inner) > NEAR_EDGE_MM)
    hu = _varied(hu, rng)
    return hu, torch.from_numpy(here).float(), torch.tensor(float(exists[n] and inner > 0)), torch.tensor(float(known))


def _varied(hu: Tensor, rng: np.random.Generator) -> Tensor:
    """Other grey values of a slice; as three slices alike, since `random_hu` may blur across them."""
    return random_hu(hu[:, :, None].repeat(1, 1, 3), rng)[:, :, 1]


def _head(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """A slice through a head, float32 HU: brain in a ring of bone in skin. It has no spinal canal."""
    radii, middle = rng.uniform([55, 70], [85, 105]), rng.uniform(-20, 20, 2)
    x, y = ((np.arange(n) - (n - 1) / 2) * PIXEL_MM for n in shape)
    out = np.hypot((x[:, None] - middle[0]) / radii[0], (y - middle[1]) / radii[1])
    inward = (1 - out) * radii.min()  # mm from the outer side of the skull
    bone = rng.uniform(3, 10)
    hu = np.where(inward > bone, rng.uniform(20, 50), np.where(inward > 0, rng.uniform(500, 1500), 30.0))
    return np.where(inward > -rng.uniform(3, 10), hu, float(AIR_HU)).astype(np.float32)


def canal_loss(network: nn.Module, slices: Tensor, where: Tensor, exists: Tensor, known: Tensor) -> Tensor:
    """Cross-entropy of cells and "nowhere" with a Gaussian or with "nowhere", and the distance of the read position."""
    heat, offset = network(slices)
    x, y = (cell_middles(n).float().to(heat.device) for n in heat.shape[1:])
    dx, dy = x[:, None] - where[:, 0, None, None], y - where[:, 1, None, None]
    target = (-(dx.square() + dy.square()) / (2 * HEAT_MM**2)).flatten(1).softmax(1) * exists[:, None]
    logs = torch.cat([heat.flatten(1), torch.zeros_like(heat[:, 0, :1])], dim=1).log_softmax(1)
    entropy = -(torch.cat([target, 1 - exists[:, None]], dim=1) * logs).sum(1)
    near = (-(dx.square() + dy.square()) / (2 * (2 * HEAT_MM) ** 2)).flatten(1).softmax(1).view_as(heat)
    off = torch.sqrt((dx + offset[:, 0]).square() + (dy + offset[:, 1]).square() + 0.25)
    distance = (near * FAR_MM * torch.log1p(off / FAR_MM)).sum((1, 2)) * exists
    return ((entropy + DISTANCE_WEIGHT * distance) * known).sum() / known.sum().clamp(min=1)
