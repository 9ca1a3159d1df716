"""A DICOM CT series (folder or zip) to a canonical volume in exact Hounsfield units."""

import logging
import warnings as python_warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from vertegrade.ct.archive import open_source
from vertegrade.ct.converted import Converted, HeaderValue, Rounding, axcodes
from vertegrade.ct.headers import contrast_given, read_series
from vertegrade.ct.resample import resampled
from vertegrade.ct.slices import SIDECAR, Slice, forget_kept
from vertegrade.ct.stack import Stack, build_stack
from vertegrade.ct.volume import AIR_HU, Volume, to_ras
from vertegrade.reasons import Notes
from vertegrade.settings.ct import CtSettings


def convert_dicom(path: Path, settings: CtSettings, series: str = "") -> Converted:
    """Read a folder or zip with one CT series, or of several the one whose code (`headers.series_code`) is given.

    Refused (names relative to `path`) where it cannot be used.
    """
    notes = Notes()
    try:
        with quiet_reading(), open_source(path, settings.max_files) as files:
            stack = build_stack(read_series(files, settings, notes, series), settings, notes)
            rows, columns = (int(stack.slices[0].numbers(tag, 1)[0]) for tag in ("Rows", "Columns"))
            source_shape = (columns, rows, len(stack.slices))
            frames = _frames(stack, notes)
            if stack.affine is None:
                hu, affine = resampled(frames, source_shape, stack, settings)
            else:
                hu, affine = _stacked(frames, source_shape), stack.affine
    finally:
        forget_kept()
    array, turned = to_ras(hu, affine)
    return Converted(
        volume=Volume(array, turned),
        slices=len(stack.slices),
        slice_spacing_mm=stack.spacing_mm,
        slice_thickness_mm=stack.thickness_mm,
        pixel_mm=float(stack.slices[0].numbers("PixelSpacing", 2).max()),
        source_shape=source_shape,
        source_axcodes=axcodes(affine),
        # of contrast only whether it was given: the agent is free text
        header=_sidecar_values(stack.slices[0].header) | {"ContrastBolusAgent": contrast_given(stack.slices)},
        notes=notes,
    )


def _stacked(frames: Iterator[np.ndarray], shape: tuple[int, int, int]) -> np.ndarray:
    """HU of every slice, int16 (columns, rows, slices)."""
    hu = np.empty(shape, dtype=np.int16, order="F")
    for k, frame in enumerate(frames):
        hu[:, :, k] = frame
    return hu


def _frames(stack: Stack, notes: Notes) -> Iterator[np.ndarray]:
    """HU of slice after slice, int16 (columns, rows): the caller decides how many are in memory."""
    rounding = Rounding(notes)
    for item in stack.slices:
        yield rounding.to_int16(_slice_hu(item), item.name).T
    rounding.finish()


def _slice_hu(item: Slice) -> np.ndarray:
    """One slice in HU, int32 or float64 (rows, columns): stored value * slope + intercept, padding as air.

    No presentation LUT: MONOCHROME1 says how to show a slice, not what its HU are. No real-world value map: it may
    map to something other than HU.
    """
    stored = item.stored()
    slope, intercept = (float(item.numbers(tag, 1)[0]) for tag in ("RescaleSlope", "RescaleIntercept"))
    number = np.int32 if _whole(stored, slope, intercept) else np.float64
    frame = stored * number(slope) + number(intercept)
    if item.header.get("PixelPaddingValue") is not None:
        frame[_padding(stored, item.header)] = AIR_HU
    return frame


def _whole(stored: np.ndarray, slope: float, intercept: float) -> bool:
    """Whether 32-bit integers represent the HU exactly: they take half the time of float64."""
    small = abs(slope) < 2**14 and abs(intercept) < 2**30
    return small and slope.is_integer() and intercept.is_integer() and stored.dtype.itemsize <= 2


def _padding(stored: np.ndarray, header: dict[str, Any]) -> np.ndarray:
    """Where stored values are padding (PixelPaddingValue, up to PixelPaddingRangeLimit), bool (rows, columns)."""
    # Signed images often have -2000 written as 63536: both mean the same 16 bits.
    value = header["PixelPaddingValue"]
    ends = [value, header.get("PixelPaddingRangeLimit", value)]
    low, high = sorted(np.array(ends).astype(np.int64).astype(stored.dtype))
    return (stored >= low) & (stored <= high)


def _sidecar_values(header: dict[str, Any]) -> dict[str, HeaderValue]:
    """The whitelisted tags: no UID, date, name or description."""
    return {tag: _plain(header.get(tag)) for tag in SIDECAR}


def _plain(value: Any) -> HeaderValue:
    """A number as a float, a text on one line with at most 64 printable characters, None where empty."""
    if value is None or value == "":
        return None
    if isinstance(value, (int, float)):
        return float(value) if np.isfinite(float(value)) else None
    text = value if isinstance(value, str) else "/".join(str(part) for part in value)  # kernels are often multi-valued
    return "".join(letter for letter in text if letter.isprintable())[:64]


@contextmanager
def quiet_reading() -> Iterator[None]:
    """pydicom's warnings quote the values they complain about, and those may be names: keep them out of logs."""
    logger = logging.getLogger("pydicom")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with python_warnings.catch_warnings():
            python_warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
