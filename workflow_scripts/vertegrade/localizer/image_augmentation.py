"""What scanners, kernels, implants and contrast may do to a sagittal image, drawn at random for training."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vertegrade.localizer.straight_image import windowed


def varied(hu: Tensor, rng: np.random.Generator) -> Tensor:
    """One stack of slices (S, H, W), float32 HU, as another scanner might have delivered it; windowed to -1..1.

    Calibration, resolution, noise, uneven brightness, bands as from metal or shoulders, bright spots, missing parts.
    """
    hu = hu * rng.uniform(0.8, 1.25) + rng.normal(0, 35)
    if rng.random() < 0.25:
        hu = _blurred(hu, rng.uniform(0.3, 2.0), rng.uniform(0.3, 2.0) if rng.random() < 0.4 else 0.0)
    if rng.random() < 0.5:
        hu = hu + _noise(hu.shape, rng)
    if rng.random() < 0.3:
        hu = hu + rng.uniform(10, 80) * _smooth_field(hu.shape, rng)
    if rng.random() < 0.15:
        hu = hu + _bands(hu.shape, rng)
    if rng.random() < 0.2:
        hu = _with_spots(hu, rng)
    if rng.random() < 0.2:
        hu = _with_holes(hu, rng)
    x = windowed(hu)
    if rng.random() < 0.6:
        x = x + rng.uniform(-0.3, 0.3) * (1 - x * x)
    return x


def affine(image: Tensor, matrix: np.ndarray, source_centre: np.ndarray, rows: int, columns: int) -> Tensor:
    """Sample (C, H, W) on a grid (rows, columns): output offset o from its middle shows source_centre + matrix @ o.

    Offsets and source_centre are (row, column) in pixels. Bilinear, edges repeated.
    """
    r = torch.arange(rows, dtype=torch.float32) - (rows - 1) / 2
    c = torch.arange(columns, dtype=torch.float32) - (columns - 1) / 2
    m = matrix.tolist()
    source_r = source_centre[0] + m[0][0] * r[:, None] + m[0][1] * c
    source_c = source_centre[1] + m[1][0] * r[:, None] + m[1][1] * c
    height, width = image.shape[1:]
    grid = torch.stack([source_c * (2 / (width - 1)) - 1, source_r * (2 / (height - 1)) - 1], dim=-1)
    return functional.grid_sample(
        image[None], grid[None].float(), mode="bilinear", padding_mode="border", align_corners=True
    )[0]


def moved(points: np.ndarray, matrix: np.ndarray, source_centre: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Where `affine` takes points (..., 3) given as (slice, row, column) of the source; slices stay."""
    middle = np.array([(rows - 1) / 2, (columns - 1) / 2])
    there = (points[..., 1:] - source_centre) @ np.linalg.inv(matrix).T + middle
    return np.concatenate([points[..., :1], there], axis=-1)


def _normal(shape: tuple[int, ...], rng: np.random.Generator) -> Tensor:
    return torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))


def _blurred(hu: Tensor, sigma_rows: float, sigma_columns: float) -> Tensor:
    """Gaussian blur along rows and, if its sigma (pixels) is not 0, along columns."""
    image = hu[:, None]
    for sigma, axis in ((sigma_rows, 0), (sigma_columns, 1)):
        if sigma:
            half = int(3 * sigma) + 1
            kernel = torch.exp(-0.5 * (torch.arange(-half, half + 1) / sigma) ** 2)
            kernel = (kernel / kernel.sum()).reshape((1, 1, -1, 1) if axis == 0 else (1, 1, 1, -1))
            pad = (0, 0, half, half) if axis == 0 else (half, half, 0, 0)
            image = functional.conv2d(functional.pad(image, pad, mode="replicate"), kernel)
    return image[:, 0]


def _noise(shape: tuple[int, ...], rng: np.random.Generator) -> Tensor:
    """Noise of 3 to 60 HU, as fine as the pixels or twice as coarse."""
    sd = float(np.exp(rng.uniform(np.log(3), np.log(60))))
    if rng.random() < 0.5:
        return sd * _normal(shape, rng)
    coarse = _normal((shape[0], shape[1] // 2 + 1, shape[2] // 2 + 1), rng)
    fine = functional.interpolate(coarse[None], size=shape[1:], mode="bilinear", align_corners=False)[0]
    return sd * fine


def _smooth_field(shape: tuple[int, ...], rng: np.random.Generator) -> Tensor:
    """A field of deviation 1 that changes over a few centimetres, the same in all slices; (1, H, W)."""
    knots = _normal((1, 1, shape[1] // 40 + 2, shape[2] // 40 + 2), rng)
    return functional.interpolate(knots, size=shape[1:], mode="bicubic", align_corners=False)[0]


def _bands(shape: tuple[int, ...], rng: np.random.Generator) -> Tensor:
    """A few dark or bright rows, as streaks leave them in sagittal images; (1, H, 1)."""
    rows = torch.arange(shape[1], dtype=torch.float32)
    total = torch.zeros(shape[1])
    for _ in range(rng.integers(1, 5)):
        total += rng.normal(0, 150) * torch.exp(-(((rows - rng.uniform(0, shape[1])) / rng.uniform(0.7, 6)) ** 2))
    return total[None, :, None]


def _with_spots(hu: Tensor, rng: np.random.Generator) -> Tensor:
    """Bright ellipses in some slices: screws, cement, calcified or contrast-filled vessels."""
    rows, columns = torch.arange(hu.shape[1])[:, None], torch.arange(hu.shape[2])
    hu = hu.clone()
    for _ in range(rng.integers(1, 6)):
        r, c = rng.uniform(0, hu.shape[1]), rng.uniform(0, hu.shape[2])
        inside = ((rows - r) / rng.uniform(2, 9)) ** 2 + ((columns - c) / rng.uniform(2, 14)) ** 2 < 1
        first = rng.integers(0, len(hu))
        hu[first : first + rng.integers(1, 4), inside] += rng.uniform(200, 2500)
    return hu


def _with_holes(hu: Tensor, rng: np.random.Generator) -> Tensor:
    """Rectangles of one value through all slices."""
    hu = hu.clone()
    for _ in range(rng.integers(1, 4)):
        height, width = rng.integers(3, 25, 2)
        r, c = rng.integers(0, hu.shape[1]), rng.integers(0, hu.shape[2])
        hu[:, r : r + height, c : c + width] = rng.uniform(-300, 600)
    return hu
