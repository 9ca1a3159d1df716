"""From drawn anatomy to what a scanner delivers: slice profile, point spread, noise, streaks, calibration, clipping.

The reconstruction is modelled by its transfer function M(f), in cycles per mm: a Gaussian for the point spread and, for
sharp kernels, a lift of the middle frequencies. Noise of filtered back-projection has the power spectrum |f| * M(f)**2
(Riederer, Pelc & Chesler 1978, Phys Med Biol 23:446; Kijewski & Judy 1987, Phys Med Biol 32:565).
"""

import numpy as np
import scipy.fft
from scipy.special import ndtr

from vertegrade.phantom.scanner.metal import paint_metal, streaks
from vertegrade.phantom.scanner.protocol import Protocol
from vertegrade.phantom.scanner.vendors import HIGHEST_HU, Kernel

_MTF50_PER_MM = (0.30, 0.75)  # 50 % modulation of the softest and the sharpest kernel: 3 and 7.5 line pairs per cm
_LIFT = 0.8  # of the sharpest kernel, above the Gaussian
_LIFT_SIGMA_MM = 1.2
_FWHM_PER_SIGMA = float(2 * np.sqrt(2 * np.log(2)))
_BORDER = 4  # pixels of edge replication, so that the transform does not wrap one side into the other


def acquire(hu_fine: np.ndarray, protocol: Protocol, rng: np.random.Generator) -> np.ndarray:
    """Scan the anatomy: float32 HU on the protocol's fine grid [i, j, k] -> int16 HU of the delivered volume [i, j, k].

    `hu_fine` is changed in place where there is metal. Raises ValueError if its shape is not `protocol.fine_shape`.
    """
    if hu_fine.shape != protocol.fine_shape:
        raise ValueError(f"{protocol.scan_id}: drawn on {hu_fine.shape}, the protocol says {protocol.fine_shape}")
    profile = slice_profile(protocol)
    added = _paint(hu_fine, protocol, profile, rng)
    slices = _across_slices(hu_fine, profile)
    rows, columns = slices.shape[1:]
    grid = tuple(scipy.fft.next_fast_len(size + 2 * _BORDER, real=True) for size in (rows, columns))
    border = [(_BORDER, size - inner - _BORDER) for size, inner in zip(grid, (rows, columns), strict=True)]
    transfer, noise = _spectra(protocol, grid)
    correlation = np.float32(_slice_correlation(protocol))
    drawn = _complex_normals(noise.shape, rng)
    delivered = np.empty(slices.shape, np.int16)
    for index, image in enumerate(slices):
        spectrum = scipy.fft.rfft2(np.pad(image, border, mode="edge"))
        spectrum *= transfer
        spectrum += drawn * noise
        result = scipy.fft.irfft2(spectrum, s=grid, overwrite_x=True)[_BORDER:, _BORDER:][:rows, :columns]
        if index in added:
            result += added[index]
        delivered[index] = _calibrated(result, protocol)
        drawn = correlation * drawn + np.float32(np.sqrt(1 - correlation**2)) * _complex_normals(noise.shape, rng)
    return delivered.transpose(1, 2, 0)


def slice_profile(protocol: Protocol) -> np.ndarray:
    """Weights (delivered slices, fine slices), float32, rows sum to 1: a Gaussian slice sensitivity profile.

    Its full width at half maximum is the slice thickness, as in spiral CT (Polacin et al. 1992, Radiology 185:29).
    """
    step = protocol.fine_spacing_mm[2]
    distance = (np.arange(protocol.fine_shape[2]) - protocol.fine_index()[:, None]) * step
    sigma = protocol.slice_thickness_mm / _FWHM_PER_SIGMA
    weights = ndtr((distance + step / 2) / sigma) - ndtr((distance - step / 2) / sigma)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def point_spread_sigma_mm(kernel: Kernel) -> float:
    """Standard deviation of the Gaussian whose modulation falls to one half at the kernel's frequency."""
    soft, sharp = _MTF50_PER_MM
    return float(np.sqrt(np.log(2) / 2) / np.pi / (soft + (sharp - soft) * kernel.sharpness))


def modulation(frequency: np.ndarray, kernel: Kernel) -> np.ndarray:
    """Transfer function of a kernel at frequencies in cycles per mm; 1 at 0."""
    gaussian = np.exp(-2 * (np.pi * point_spread_sigma_mm(kernel) * frequency) ** 2)
    lift = _LIFT * max(kernel.sharpness - 0.4, 0) / 0.6
    return np.asarray(gaussian * (1 + lift * (1 - np.exp(-2 * (np.pi * _LIFT_SIGMA_MM * frequency) ** 2))))


def _spectra(protocol: Protocol, grid: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Transfer function and amplitude of the noise on the transform's grid; the noise has the protocol's sd.

    Frequencies that are too high for the pixels fold back, as they do when a continuous image is sampled.
    """
    rows, columns = grid
    transfer, power = np.zeros(grid), np.zeros(grid)
    for fold in np.ndindex(3, 3):
        down, across = (np.fft.fftfreq(n) + m - 1 for n, m in zip(grid, fold, strict=True))
        frequency = np.hypot(down[:, None], across) / protocol.pixel_mm
        response = modulation(frequency, protocol.kernel)
        transfer += response
        power += (frequency + 0.02) * response**2  # 0.02: a real scanner's noise does not vanish at f = 0
    transfer /= transfer[0, 0]
    # Complex normals of variance 2 over rows * columns bins give an image of variance sum(2 * power) / (bins * bins).
    amplitude = np.sqrt(power / (2 * power.sum())) * protocol.noise_sd_hu * rows * columns
    half = columns // 2 + 1
    return transfer[:, :half].astype(np.float32), amplitude[:, :half].astype(np.float32)


def _slice_correlation(protocol: Protocol) -> float:
    """Correlation of the noise of neighbouring slices: that of two slice profiles one slice spacing apart."""
    sigma = protocol.slice_thickness_mm / _FWHM_PER_SIGMA
    return float(np.exp(-((protocol.slice_spacing_mm / (2 * sigma)) ** 2)))


def _complex_normals(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    return np.asarray(rng.standard_normal((*shape, 2), np.float32).view(np.complex64)[..., 0])


def _calibrated(hu: np.ndarray, protocol: Protocol) -> np.ndarray:
    """Whole HU with the scanner's error of scale and offset, within what it can deliver."""
    hu = hu * np.float32(protocol.hu_slope) + np.float32(protocol.hu_offset)
    return np.rint(np.clip(hu, protocol.scanner.lowest_hu, HIGHEST_HU)).astype(np.int16)


def _across_slices(hu_fine: np.ndarray, profile: np.ndarray) -> np.ndarray:
    """Apply the slice profile along the last axis: [i, j, fine k] -> [k, i, j] (one product, already transposed)."""
    rows, columns, fine = hu_fine.shape
    return (profile @ hu_fine.reshape(-1, fine).T).reshape(-1, rows, columns)


def _paint(
    hu_fine: np.ndarray, protocol: Protocol, profile: np.ndarray, rng: np.random.Generator
) -> dict[int, np.ndarray]:
    """Draw the protocol's metal into the anatomy; returns the streaks, HU [i, j], of each slice that has any."""
    if not protocol.metal:
        return {}
    dense = paint_metal(hu_fine, protocol.fine_origin_mm, protocol.fine_spacing_mm, protocol.metal)
    touched = np.flatnonzero(profile @ dense.max(axis=(0, 1)) > 0.05)
    if not len(touched):
        return {}
    image = streaks(_across_slices(dense, profile[touched]), protocol.pixel_mm, rng)
    return dict(zip(touched.tolist(), image, strict=True))
