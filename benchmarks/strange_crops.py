"""Strangeness planted into crops of vertebrae, and the crops of real CT: what `novelty.py` looks for.

Each kind takes crops (N, S, H, W) in HU, as docs/design/architecture.md describes them, and a random generator. Rows
and columns are 0.75 mm, slices 4 mm apart, as by default.
"""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from scipy import ndimage

Crops = np.ndarray
PIXEL_MM, SLICE_MM = 0.75, 4.0
FWHM = 2.355  # of a Gaussian, in standard deviations


def _each(crops: Crops, sigma: tuple[float, float, float]) -> Crops:
    return ndimage.gaussian_filter(crops, (0, *sigma))


def _plane(crops: Crops) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of pixels, counted from the middle of a crop."""
    size = crops.shape[-1]
    rows, columns = np.mgrid[:size, :size] - (size - 1) / 2
    return rows, columns


def mr_like(crops: Crops, random: Generator) -> Crops:
    """T1-weighted MR: fat bright, cortical bone and air dark, a coil's uneven brightness; no Hounsfield units."""
    bright = np.interp(
        crops, [-1024, -300, -120, -60, 20, 80, 150, 300, 600, 1200], [0, 0, 700, 600, 250, 300, 450, 400, 120, 20]
    )
    rows, columns = _plane(crops)
    tilt = random.uniform(-0.3, 0.3, (2, len(crops), 1, 1, 1)) / (crops.shape[-1] / 2)
    return np.abs(bright * (1 + tilt[0] * rows + tilt[1] * columns) + random.normal(0, 20, crops.shape))


def windowed(crops: Crops, random: Generator) -> Crops:
    """A window of -160 to 240 HU shown as 0 to 255."""
    return np.rint((np.clip(crops, -160, 240) + 160) * (255 / 400))


def negative(crops: Crops, random: Generator) -> Crops:
    """Bright and dark exchanged (MONOCHROME1 read as MONOCHROME2)."""
    return 300 - crops


def half_scale(crops: Crops, random: Generator) -> Crops:
    """HU times 0.5."""
    return crops * 0.5


def double_scale(crops: Crops, random: Generator) -> Crops:
    """HU times 2."""
    return crops * 2


def offset(crops: Crops, random: Generator) -> Crops:
    """300 HU too much everywhere."""
    return crops + 300


def front_to_back(crops: Crops, random: Generator) -> Crops:
    """Front and back exchanged."""
    return crops[..., ::-1]


def upside_down(crops: Crops, random: Generator) -> Crops:
    """Head and feet exchanged."""
    return crops[..., ::-1, :]


def sideways(crops: Crops, random: Generator) -> Crops:
    """Turned by 90 degrees in the plane."""
    return np.rot90(crops, axes=(-2, -1))


def metal(crops: Crops, random: Generator) -> Crops:
    """A pedicle screw of 3000 HU in two slices, with streaks."""
    rows, columns = _plane(crops)
    bar = (np.abs(rows + 4) < 3) & (columns > -6)
    angle, far = np.arctan2(rows + 4, columns - 8), np.hypot(rows + 4, columns - 8)
    strange = crops + 350 * np.cos(10 * angle) * np.exp(-far / 25)
    strange[:, 2:4] = np.where(bar, 3000.0, strange[:, 2:4])
    return strange


def cement(crops: Crops, random: Generator) -> Crops:
    """A ball of 14 mm of cement, 1500 HU, in the body."""
    rows, columns = _plane(crops)
    depth = (np.arange(crops.shape[1]) - (crops.shape[1] - 1) / 2)[:, None, None] * SLICE_MM
    return np.where((rows * PIXEL_MM) ** 2 + (columns * PIXEL_MM) ** 2 + depth**2 < 49, 1500.0, crops)


def dense_body(crops: Crops, random: Generator) -> Crops:
    """An ivory vertebra: 500 HU more in the body."""
    rows, columns = _plane(crops)
    return crops + 500.0 * (np.hypot(rows / 14, columns / 20) < 1)


def blurred(crops: Crops, random: Generator) -> Crops:
    """Blurred to 8 mm (full width at half maximum) in all directions."""
    sigma = 8 / FWHM
    return _each(crops, (sigma / SLICE_MM, sigma / PIXEL_MM, sigma / PIXEL_MM))


def thick_slices(crops: Crops, random: Generator) -> Crops:
    """Axial slices of 10 mm."""
    return ndimage.uniform_filter1d(crops, round(10 / PIXEL_MM), axis=2)


def noisy(crops: Crops, random: Generator) -> Crops:
    """150 HU of noise in each pixel."""
    return crops + random.normal(0, 150, crops.shape)


def motion(crops: Crops, random: Generator) -> Crops:
    """Three positions 6 mm apart at once, and streaks from front to back."""
    shift = round(6 / PIXEL_MM)
    ghosts = np.mean([np.roll(crops, (k * shift, k * shift // 2), axis=(2, 3)) for k in (-1, 0, 1)], axis=0)
    rows, _ = _plane(crops)
    return ghosts + 120 * np.sin(rows * 1.3 + 3 * np.sin(rows / 5))


def lower_half_missing(crops: Crops, random: Generator) -> Crops:
    """Nothing (-1024 HU) from the middle downwards."""
    strange = crops.copy()
    strange[:, :, crops.shape[2] // 2 :] = -1024
    return strange


def zoomed_in(crops: Crops, random: Generator) -> Crops:
    """Twice the size."""
    quarter = crops.shape[-1] // 4
    inner = crops[..., quarter:-quarter, quarter:-quarter]
    return ndimage.zoom(inner, (1, 1, 2, 2), order=1)


def zoomed_out(crops: Crops, random: Generator) -> Crops:
    """Half the size, the rest soft tissue."""
    quarter = crops.shape[-1] // 4
    strange = random.normal(40, 20, crops.shape)
    strange[..., quarter:-quarter, quarter:-quarter] = ndimage.zoom(crops, (1, 1, 0.5, 0.5), order=1)
    return strange


def nothing(crops: Crops, random: Generator) -> Crops:
    """Soft tissue and noise alone."""
    return random.normal(40, 25, crops.shape)


KINDS: dict[str, Callable[[Crops, Generator], Crops]] = {
    kind.__name__: kind
    for kind in (
        mr_like, windowed, negative, half_scale, double_scale, offset, front_to_back, upside_down, sideways, metal,
        cement, dense_body, blurred, thick_slices, noisy, motion, lower_half_missing, zoomed_in, zoomed_out, nothing,
    )
}  # fmt: skip


def planted(crops: Crops, seed: int) -> dict[str, Crops]:
    """The crops (N, S, H, W), int16 HU, with each kind of strangeness, by its name."""
    hu = crops.astype(np.float64)
    return {
        name: np.rint(kind(hu, np.random.default_rng(seed))).clip(-1024, 3071).astype(np.int16)
        for name, kind in KINDS.items()
    }
