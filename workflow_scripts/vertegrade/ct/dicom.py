"""A DICOM CT series (folder or zip) to a canonical volume in exact Hounsfield units."""

import logging
import warnings as python_warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from vertegrade.ct.archive import open_source
from vertegrade.ct.converted import Converted, HeaderValue, axcodes, to_int16
from vertegrade.ct.headers import read_series
from vertegrade.ct.reasons import Notes
from vertegrade.ct.resample import resampled
from vertegrade.ct.slices import SIDECAR, Slice, forget_kept
from vertegrade.ct.stack import Stack, build_stack
from vertegrade.ct.volume import AIR_HU, Volume, to_ras
from vertegrade.settings.ct import CtSettings


def convert_dicom(path: Path, settings: CtSettings, series: str = "") -> Converted:
    """Read a folder or zip that holds one CT series, or of several the one whose code (`headers.series_code`) is given.

    Refused (names relative to `path`) where it cannot be used.
    """
    notes = Notes()
    try:
        with quiet_reading(), open_source(path, settings.max_files) as files:
            stack = build_stack(read_series(files, settings, notes, series), settings, notes)
            hu = _read_pixels(stack, notes)
    finally:
        forget_kept()
    source_shape, affine = hu.shape, stack.affine
    if affine is None:
        hu, affine = resampled(hu, stack, settings)
    array, turned = to_ras(hu, affine)
    return Converted(
        volume=Volume(array, turned),
        slices=len(stack.slices),
        slice_spacing_mm=stack.spacing_mm,
        slice_thickness_mm=stack.thickness_mm,
        pixel_mm=float(stack.slices[0].numbers("PixelSpacing", 2).max()),
        source_shape=source_shape,
        source_axcodes=axcodes(affine),
        header=_sidecar_values(stack.slices[0].header),
        notes=notes,
    )


def _read_pixels(stack: Stack, notes: Notes) -> np.ndarray:
    """HU of every slice, int16 (columns, rows, slices). One slice is in memory at a time."""
    rows, columns = (int(stack.slices[0].numbers(tag, 1)[0]) for tag in ("Rows", "Columns"))
    hu = np.empty((columns, rows, len(stack.slices)), dtype=np.int16, order="F")
    rounded = 0
    for k, item in enumerate(stack.slices):
        frame, was_rounded = _slice_hu(item)
        hu[:, :, k] = frame.T
        rounded += was_rounded
    if rounded:
        notes.warnings.append(f"fractions of a HU rounded in {rounded} slice(s)")
    return hu


def _slice_hu(item: Slice) -> tuple[np.ndarray, bool]:
    """One slice in HU, int16 (rows, columns): stored value * slope + intercept, padding as air; and whether rounded.

    No presentation LUT: MONOCHROME1 says how to show a slice, not what its HU are. No real-world value map: it may
    map to something else than HU.
    """
    dataset = item.dataset()
    stored = item.stored(dataset)
    slope, intercept = (item.numbers(tag, 1)[0] for tag in ("RescaleSlope", "RescaleIntercept"))
    frame = stored * slope + intercept
    if dataset.get("PixelPaddingValue") is not None:
        frame[_padding(stored, dataset)] = AIR_HU
    return to_int16(frame, item.name)


def _padding(stored: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Where stored values are padding (PixelPaddingValue, up to PixelPaddingRangeLimit), bool (rows, columns)."""
    # Signed images often carry -2000 written as 63536: both mean the same 16 bits.
    ends = [dataset.PixelPaddingValue, dataset.get("PixelPaddingRangeLimit", dataset.PixelPaddingValue)]
    low, high = sorted(np.array(ends).astype(np.int64).astype(stored.dtype))
    return (stored >= low) & (stored <= high)


def _sidecar_values(header: Dataset) -> dict[str, HeaderValue]:
    """The whitelisted tags. No UID, date, name or description is among them."""
    values: dict[str, HeaderValue] = {tag: _plain(header.get(tag)) for tag in SIDECAR}
    values["ContrastBolusAgent"] = bool(values["ContrastBolusAgent"])  # that it was given; its text is free text
    return values


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
