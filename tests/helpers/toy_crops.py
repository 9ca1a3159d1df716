"""Toy crops for the DAE's tests and experiments: sagittal stacks of three vertebrae drawn from formulas.

Bodies have heights by level and patient, natural wedging, dents, a cortical shell, texture, an arch; pose, tissue and
noise vary. Some bodies lose height in front, in the middle or altogether: that is what a latent must find.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter


@dataclass(frozen=True)
class Toy:
    """pixels int16 HU (N, S, H, W); height_loss (N,); patient (N,)."""

    pixels: np.ndarray
    height_loss: np.ndarray
    patient: np.ndarray

    @property
    def fractured(self) -> np.ndarray:
        return self.height_loss >= 0.2


def toy_crops(patients: int, per_patient: int, seed: int, slices: int = 5, size: int = 64) -> Toy:
    """Crops of `patients` spines, `per_patient` vertebrae each."""
    rng = np.random.default_rng(seed)
    pixels = np.empty((patients * per_patient, slices, size, size), np.int16)
    losses = np.zeros(len(pixels))
    for patient in range(patients):
        scale, density, sigma = rng.uniform(0.88, 1.12), rng.uniform(80, 250), rng.uniform(15, 60)
        for vertebra in range(per_patient):
            n = patient * per_patient + vertebra
            level = vertebra / max(per_patient - 1, 1)
            if rng.random() < 0.2:
                losses[n] = rng.uniform(0.2, 0.55)
            elif rng.random() < 0.5:
                losses[n] = rng.uniform(0.0, 0.14)
            pixels[n] = _stack(rng, level, scale, density, sigma, losses[n], slices, size)
    return Toy(pixels, losses, np.repeat(np.arange(patients), per_patient))


def _profile(rng: np.random.Generator, height: float, loss: float) -> np.ndarray:
    """Anterior, middle and posterior height in mm after a loss of one of the three kinds."""
    normal = height * np.array([rng.normal(0.95, 0.025), rng.normal(0.91, 0.02), 1.0])
    kinds = np.array([[1.0, 0.7, 0.1], [0.4, 1.0, 0.1], [1.0, 1.0, 0.9]])
    return normal * (1 - loss * kinds[rng.integers(3)])


def _stack(
    rng: np.random.Generator,
    level: float,
    scale: float,
    density: float,
    sigma: float,
    loss: float,
    slices: int,
    size: int,
) -> np.ndarray:
    """One crop: the middle vertebra, a neighbour above and below, int16 HU (S, H, W)."""
    angle, shift = rng.normal(0, np.radians(3)), rng.normal(0, 1, 2)
    rows, columns = np.mgrid[:size, :size] - (size - 1) / 2
    mm = 64 / size
    y = (np.cos(angle) * rows - np.sin(angle) * columns) * mm + shift[0]
    x = (np.sin(angle) * rows + np.cos(angle) * columns) * mm + shift[1]
    depth, height = scale * (26 + 9 * level) * rng.normal(1, 0.06), scale * (20 + 7 * level) * rng.normal(1, 0.05)
    disc = scale * (4 + 5 * level) * rng.uniform(0.5, 1.3)
    density = density * rng.normal(1, 0.15)
    tissue = 120 * gaussian_filter(rng.normal(size=(size, size)), 6) * 10
    dent, where = rng.exponential(1.0), rng.uniform(-0.6, 0.6)
    centre = _profile(rng, height, loss)
    neighbours = [_profile(rng, height, rng.uniform(0, 0.1)) for _ in range(2)]
    middle = centre.mean() / 2
    stack = np.empty((slices, size, size))
    for s in range(slices):
        side = abs(s - (slices - 1) / 2) / slices
        image = 40 + np.clip(tissue, -150, 250)
        offsets = [0.0, -(middle + disc + neighbours[0].mean() / 2), middle + disc + neighbours[1].mean() / 2]
        for heights, offset in zip([centre, *neighbours], offsets, strict=True):
            u = x / (depth * (1 - 0.15 * side) / 2)
            half = np.polyval(np.polyfit([-0.85, 0, 0.85], heights / 2, 2), np.clip(u, -1.1, 1.1))
            if offset == 0.0:
                half = half - dent * np.exp(-(((u - where) / 0.15) ** 2))
            inside = np.minimum(half - np.abs(y - offset), (1 - np.abs(u)) * depth / 2)
            arch = np.minimum(0.2 * height - np.abs(y - offset + 2), 9 - np.abs(x - depth / 2 - 16 + 6 * side))
            for distance in (inside, arch):
                bone = 1 / (1 + np.exp(-2 * distance))
                shell = np.exp(-(((distance - 0.8) / 0.9) ** 2))
                image = image * (1 - bone) + bone * density + 350 * shell
        stack[s] = image + 40 * gaussian_filter(rng.normal(size=(size, size)), 1.2) * (image > 90) * 2
    stack = gaussian_filter(stack, (0, 0.7, 0.7)) + gaussian_filter(rng.normal(size=stack.shape), (0, 0.5, 0.5)) * sigma
    return np.clip(stack, -1024, 3071).astype(np.int16)
