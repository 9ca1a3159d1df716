"""What of a volume the scanner never measured, or what was done to its values, as the values alone show it.

Scans may be windowed for a display, clipped for a network, or filled with 0 where there was no scan. Nothing in a NIfTI
says so, but no real image has one value in great numbers among its tissues, or ends at a value of thousands of voxels.
"""

import numpy as np
from scipy import ndimage

from vertegrade.ct.volume import AIR_HU
from vertegrade.reasons import Notes, Refused

LOWEST_TISSUE_HU = -900  # air may have any value below, in great numbers: clipped, smoothed, padded
METAL_HU = 2500  # brighter than any bone: values may end there, where bits end
# A grader sees 0 to 400 HU, a localizer -250 to 950. A scan that was cut off within is no scan for them. At -200 HU and
# below only air was cut off, fat was not.
UPPER_NEEDED_HU, LOWER_NEEDED_HU = 950, -200
# A value is a spike where so many times more voxels have it than have the values around it, and this share of all.
AROUND, SPIKE, SPIKE_SHARE = 10, 1.5, 1e-3
END_SPIKE, UPPER_END_SHARE = 5.0, 1e-5
LEAST_END = 10  # voxels at an upper end that is one
BLOCK = 5  # side of a square in a slice, in pixels: because of noise, never the same value in all of them
LEAST_MM3 = 1000.0


def check_range(hu: np.ndarray, notes: Notes) -> None:
    """Refused where values were cut off within tissue or put on another scale; flagged where only metal was cut off."""
    values, counts, around = _histogram(hu)
    if values[0] >= 0:
        raise Refused(
            "clipped_hu",
            f"values run from {values[0]} to {values[-1]}, none is below 0 as those of fat and air are: they were "
            "windowed, clipped or rescaled; give the CT itself, with all its Hounsfield units",
        )
    spiky = counts > END_SPIKE * around
    low, high = int(values[0]), int(values[-1])
    cut_low = low > LOWER_NEEDED_HU and spiky[0] and counts[0] > SPIKE_SHARE * counts.sum()
    cut_high = high < METAL_HU and spiky[-1] and counts[-1] > max(UPPER_END_SHARE * counts.sum(), LEAST_END)
    if cut_low or (cut_high and high < UPPER_NEEDED_HU):
        ends = [f"{counts[n] / counts.sum():.2%} of the voxels are exactly {values[n]}" for n in (0, -1) if spiky[n]]
        raise Refused(
            "clipped_hu",
            f"values end at {low} and {high} ({', '.join(ends)}): they were windowed or clipped; give the CT itself, "
            "with all its Hounsfield units",
        )
    if cut_high:
        notes.flags.add("clipped")


def fill_outside(hu: np.ndarray, slice_axis: int, voxel_mm3: float, notes: Notes) -> None:
    """Turn a value that was filled in outside of the scan, and that air cannot have, into AIR_HU, in place; flagged.

    hu: int16 (i, j, k). Filled is a voxel that lies in a square of BLOCK x BLOCK pixels of a slice (beyond the volume's
    edges its border continues), all of one value that many more voxels have than have the values around it.
    """
    values, counts, around = _histogram(hu)
    spiky = (counts > SPIKE * around) & (counts > SPIKE_SHARE * counts.sum())
    spikes = values[spiky & (values > LOWEST_TISSUE_HU) & (values < values[-1])]
    if not len(spikes):
        return
    size = tuple(1 if axis == slice_axis else BLOCK for axis in range(3))
    flat = _flat(hu, slice_axis)
    # Rounding after a slope that is no whole number makes a hundred spikes, but not one square.
    for value in np.intersect1d(spikes, hu[flat]).tolist():
        same = hu == value
        filled = ndimage.maximum_filter((flat & same).view(np.uint8), size, mode="nearest").view(bool) & same
        count = int(np.count_nonzero(filled))
        if count * voxel_mm3 > LEAST_MM3:
            hu[filled] = AIR_HU
            notes.flags.add("filled")
            notes.warnings.append(f"{count / hu.size:.1%} of the voxels, filled with {value} HU, taken as outside")


def _flat(hu: np.ndarray, slice_axis: int) -> np.ndarray:
    """Which voxels (i, j, k) are the middle of a square of one value, bool; slice by slice, to need less memory."""
    flat = np.empty_like(hu, bool)
    for plane, out in zip(np.moveaxis(hu, slice_axis, 0), np.moveaxis(flat, slice_axis, 0), strict=True):
        least, most = (of(plane, BLOCK, mode="nearest") for of in (ndimage.minimum_filter, ndimage.maximum_filter))
        np.equal(least, most, out=out)
    return flat


def _histogram(hu: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of an eighth of the voxels: values that occur, how often each does, and the median count of the values around."""
    lowest = np.iinfo(np.int16).min
    total = np.zeros(2**16, np.int64)
    for plane in hu[::2]:
        total += np.bincount(plane[::2, ::2].ravel().astype(np.int64) - lowest, minlength=2**16)
    present = np.flatnonzero(total)
    counts = total[present]
    padded = np.pad(counts.astype(float), AROUND, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * AROUND + 1)
    others = np.delete(windows, AROUND, axis=1)
    around = np.nanmedian(others, axis=1) if len(counts) > 1 else np.zeros(1)
    return present + lowest, counts, around
