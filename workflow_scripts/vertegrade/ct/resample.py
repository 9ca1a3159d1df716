"""Tilted or uneven stacks on an even, straight grid, by linear interpolation. Only where the settings ask for it."""

from collections.abc import Iterable

import numpy as np
from scipy import ndimage

from vertegrade.ct.stack import LPS_TO_RAS, Stack, place_affine
from vertegrade.ct.volume import AIR_HU
from vertegrade.reasons import Refused
from vertegrade.settings.ct import CtSettings


def resampled(
    frames: Iterable[np.ndarray], source_shape: tuple[int, int, int], stack: Stack, settings: CtSettings
) -> tuple[np.ndarray, np.ndarray]:
    """HU int16 (columns, rows, slices) and 4x4 affine to RAS mm, of the same orientation and pixels as the slices.

    frames: HU int16 (columns, rows) of each slice in the stack's order; two at a time are kept, so that memory stays at
    that of the result. source_shape: columns, rows, slices.

    The grid starts at the first slice, goes along the slices' normal by the usual (median) gap, and is as wide as all
    shifted slices together. Outside of them is air. Nothing is extrapolated beyond the last slice.
    """
    first = stack.slices[0]
    height, width = first.numbers("PixelSpacing", 2)
    shift = stack.aside_mm / [width, height]
    low, high = np.floor(shift.min(axis=0)).astype(int), np.ceil(shift.max(axis=0)).astype(int)
    count = int(np.floor(stack.along_mm[-1] / stack.spacing_mm + 1e-6)) + 1
    shape = (*(np.array(source_shape[:2]) + high - low), count)
    voxels = int(np.prod(shape, dtype=object))
    if voxels > settings.max_voxels:
        raise Refused(
            "too_large", f"{voxels} voxels after resampling, more than ct.max_voxels; give a straight reconstruction"
        )
    grid = np.empty(shape, dtype=np.int16, order="F")
    places = np.minimum(np.arange(count) * stack.spacing_mm, stack.along_mm[-1])
    above = np.clip(np.searchsorted(stack.along_mm, places, side="right"), 1, len(stack.along_mm) - 1)
    k, upper = 0, np.empty(0)
    for n, frame in enumerate(frames):  # to the last one, needed or not: it may be damaged
        lower, upper = upper, _moved(frame, low - shift[n], shape[:2])
        while n > 0 and k < count and above[k] == n:
            weight = (places[k] - stack.along_mm[n - 1]) / (stack.along_mm[n] - stack.along_mm[n - 1])
            grid[:, :, k] = np.rint((1 - weight) * lower + weight * upper)
            k += 1
    row, column = np.split(first.numbers("ImageOrientationPatient", 6), 2)
    corner = first.numbers("ImagePositionPatient", 3) + low[0] * width * row + low[1] * height * column
    return grid, LPS_TO_RAS @ place_affine(first, corner, np.cross(row, column) * stack.spacing_mm)


def _moved(frame: np.ndarray, offset: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A slice on the wider grid, float64: value at index i is the frame's at i + offset, air outside of it."""
    return ndimage.affine_transform(
        frame.astype(np.float64), np.ones(2), offset, shape, order=1, mode="constant", cval=AIR_HU
    )
