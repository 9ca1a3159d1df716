"""What the image of a crop looks like, whatever it shows: brightness, sharpness, noise, and roughly where bone is.

Grades hold for images like those of the training. Latents hardly show that an image is not: an encoder sees a window
of HU and has learned to overlook noise. So these plain numbers are taken beside them, the same ones for every method.
They see the acquisition, and little of the shape of one vertebra (docs/results/novelty.md).
"""

from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import fft

from vertegrade.arrays import Floats, Floats32
from vertegrade.tables import APPEARANCE, PATIENT_KEY, check_table

Pixels = NDArray[np.int16]
# Shares of the pixels between these HU, from fat to cortical bone. Air and metal say where a crop lies, not how it was
# made.
HU_EDGES = (-160, -120, -90, -60, -30, 0, 30, 60, 90, 130, 180, 240, 320, 450, 700, 1000)
LEAST_SHARE = 0.01  # added to each share, whose logarithm is used
HU_LIMITS = (-1000, 2000)  # for sharpness and noise
FREQUENCIES = (0.03, 0.09, 0.16, 0.25, 0.36, 0.5)  # edges of the bands, cycles per pixel
DIRECTIONS = 3  # along columns, oblique, along rows
TISSUE_HU = (-200, 600)  # for the correlation of neighbours
LAGS = (1, 4)  # px
BONE_HU = (0, 300)  # from nothing to all of it bone
LAYOUT = 8  # rows and columns of the map of bone
CHUNK = 64  # crops at a time: bounds the memory

_PARTS = {
    "histogram": len(HU_EDGES) - 1,
    "spectrum": (len(FREQUENCIES) - 1) * DIRECTIONS,
    "noise": 2,
    "correlation": 2 * len(LAGS) + 1,
    "layout": LAYOUT**2,
}
_ENDS = np.cumsum([0, *_PARTS.values()])
HISTOGRAM, SPECTRUM, NOISE, CORRELATION, LAYOUT_PART = (slice(int(begin), int(end)) for begin, end in pairwise(_ENDS))
LENGTH = int(_ENDS[-1])
ACQUISITION = slice(HISTOGRAM.start, CORRELATION.stop)  # all but the layout
TEXTURE = slice(SPECTRUM.start, CORRELATION.stop)


def appearance(pixels: Pixels) -> Floats:
    """Appearance (N, LENGTH) of crops (N, S, H, W) in HU, one part after the other as in _PARTS.

    histogram: log shares of pixels per HU_EDGES, of those within them. spectrum: log mean power per band and direction,
    over slices. noise: log(1 + HU) within slices and between them (0 for fewer than three). correlation: of pixels LAGS
    apart along rows and along columns, and of neighbouring slices. layout: mean of HU within BONE_HU as 0-1.
    """
    parts = [_chunk(pixels[start : start + CHUNK]) for start in range(0, len(pixels), CHUNK)]
    return np.concatenate([np.empty((0, LENGTH)), *parts])


def appearance_table(crops: pd.DataFrame, pixels: Pixels) -> pd.DataFrame:
    """APPEARANCE of CROPS and their pixels (N, S, H, W), in the order of the rows."""
    x = appearance(pixels).astype(np.float32)
    table = crops[[*PATIENT_KEY, "crop"]].assign(x=pd.Series(list(x), index=crops.index, dtype=object))
    return check_table(table, APPEARANCE, "appearance of crops")


def _chunk(pixels: Pixels) -> Floats:
    hu = np.clip(pixels, *HU_LIMITS).astype(np.float32)
    features = [_histogram(pixels), _spectrum(hu), _noise(hu), _correlation(hu), _layout(hu)]
    return np.concatenate(features, axis=1, dtype=np.float64)


def _histogram(pixels: Pixels) -> Floats:
    bin_of = np.searchsorted(HU_EDGES, np.arange(-(2**15), 2**15), side="right")  # of each int16 value
    found = bin_of[pixels.reshape(len(pixels), -1).astype(np.int32) + 2**15]
    counts = np.stack([np.bincount(row, minlength=len(HU_EDGES) + 1)[1:-1] for row in found])
    shares: Floats = np.log(counts / (counts.sum(axis=1, keepdims=True) + 1) + LEAST_SHARE)
    return shares


def _spectrum(hu: Floats32) -> Floats:
    rows, columns = hu.shape[-2:]
    taper = np.outer(np.hanning(rows), np.hanning(columns)).astype(np.float32)
    tapered = (hu - hu.mean(axis=(2, 3), keepdims=True)) * taper
    along_rows, along_columns = np.abs(fft.fftfreq(rows))[:, None], fft.rfftfreq(columns)[None]
    band = np.digitize(np.hypot(along_rows, along_columns), FREQUENCIES) - 1
    direction = np.minimum(np.arctan2(along_rows, along_columns) * (2 / np.pi) * DIRECTIONS, DIRECTIONS - 1).astype(int)
    bands = len(FREQUENCIES) - 1
    cell = np.where((band >= 0) & (band < bands), band * DIRECTIONS + direction, bands * DIRECTIONS).ravel()
    size = np.maximum(np.bincount(cell, minlength=bands * DIRECTIONS + 1), 1)  # small crops lack some frequencies
    # Crop by crop: sums over several at once round differently.
    powers = [np.square(np.abs(fft.rfft2(crop))).mean(axis=0).ravel() for crop in tapered]
    means = np.stack([np.bincount(cell, power, len(size)) / size for power in powers])
    logs: Floats = np.log1p(means[:, :-1])
    return logs


def _noise(hu: Floats32) -> Floats:
    """By the median of what second differences leave of an image: they see noise, and few pixels are edges."""
    curved = hu[..., 2:, :] - 2 * hu[..., 1:-1, :] + hu[..., :-2, :]
    within = _spread(curved[..., 2:] - 2 * curved[..., 1:-1] + curved[..., :-2]) / 6
    if hu.shape[1] < 3:
        return np.log1p(np.stack([within, np.zeros_like(within)], axis=1))
    between = _spread(hu[:, 2:] - 2 * hu[:, 1:-1] + hu[:, :-2]) / np.sqrt(6)
    return np.log1p(np.stack([within, between], axis=1))


def _spread(differences: Floats32) -> Floats:
    """Standard deviation (N,) of normal noise with this median absolute value (N, ...)."""
    spread: Floats = np.median(np.abs(differences).reshape(len(differences), -1), axis=1) / 0.6745
    return spread


def _correlation(hu: Floats32) -> Floats:
    tissue = np.clip(hu, *TISSUE_HU)
    tissue -= tissue.mean(axis=(2, 3), keepdims=True)
    power = np.square(tissue).mean(axis=(2, 3)) + 1
    found = []
    for lag in LAGS:
        for one, other in ((tissue[:, :, lag:], tissue[:, :, :-lag]), (tissue[..., lag:], tissue[..., :-lag])):
            found.append(((one * other).mean(axis=(2, 3)) / power).mean(axis=1))
    neighbours = (tissue[:, 1:] * tissue[:, :-1]).mean(axis=(2, 3)) / np.sqrt(power[:, 1:] * power[:, :-1])
    found.append(neighbours.mean(axis=1) if hu.shape[1] > 1 else np.zeros(len(hu)))
    return np.stack(found, axis=1)


def _layout(hu: Floats32) -> Floats:
    low, high = BONE_HU
    bone = ((np.clip(hu, low, high) - low) / (high - low)).mean(axis=1)
    rows, columns = (side // LAYOUT for side in bone.shape[1:])
    whole = bone[:, : rows * LAYOUT, : columns * LAYOUT]
    means: Floats = whole.reshape(len(hu), LAYOUT, rows, LAYOUT, columns).mean(axis=(2, 4)).reshape(len(hu), -1)
    return means


def turned(x: Floats, axis: int) -> Floats:
    """Appearance (N, LENGTH) of the same crops with head and feet (axis 1) or front and back (axis 2) exchanged."""
    layout = x[:, LAYOUT_PART].reshape(-1, LAYOUT, LAYOUT)
    return np.concatenate([x[:, ACQUISITION], np.flip(layout, axis).reshape(len(x), -1)], axis=1)


def rescaled(x: Floats, factor: float) -> Floats:
    """TEXTURE (N, ...) of crops whose HU are `factor` times those of appearance x (N, LENGTH)."""
    noise = np.log1p(factor * np.expm1(x[:, NOISE]))
    return np.concatenate([x[:, SPECTRUM] + 2 * np.log(factor), noise, x[:, CORRELATION]], axis=1)
