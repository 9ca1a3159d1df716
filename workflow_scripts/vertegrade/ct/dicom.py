"""A DICOM CT series (folder or zip) to a canonical volume in exact Hounsfield units."""

import logging
import warnings as python_warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.pixels import apply_rescale

from vertegrade.ct.archive import open_source
from vertegrade.ct.converted import Converted, HeaderValue, axcodes, to_int16
from vertegrade.ct.headers import SIDECAR, Slice, read_series
from vertegrade.ct.reasons import Refused
from vertegrade.ct.stack import Stack, build_stack
from vertegrade.ct.volume import AIR_HU, Volume, to_ras
from vertegrade.settings.ct import CtSettings


def convert_dicom(path: Path, settings: CtSettings) -> Converted:
    """Read a folder or zip that holds one CT series; Refused (names relative to `path`) where it cannot be used."""
    with _quiet_reading(), open_source(path, settings.max_files) as files:
        slices, warnings = read_series(files, settings)
        stack = build_stack(slices, settings, warnings)
        hu = _read_pixels(stack, warnings)
    array, affine = to_ras(hu, stack.affine)
    return Converted(
        volume=Volume(array, affine),
        slices=len(stack.slices),
        slice_spacing_mm=stack.spacing_mm,
        slice_thickness_mm=stack.thickness_mm,
        pixel_mm=float(stack.slices[0].numbers("PixelSpacing", 2).max()),
        source_shape=hu.shape,
        source_axcodes=axcodes(stack.affine),
        header=_sidecar_values(stack.slices[0].header),
        warnings=warnings,
    )


def _read_pixels(stack: Stack, warnings: list[str]) -> np.ndarray:
    """HU of every slice, int16 (columns, rows, slices). One slice is in memory at a time."""
    first = stack.slices[0]
    rows, columns = int(first.header.Rows), int(first.header.Columns)
    hu = np.empty((columns, rows, len(stack.slices)), dtype=np.int16, order="F")
    rounded = 0
    for k, item in enumerate(stack.slices):
        frame, was_rounded = to_int16(_slice_hu(item, (rows, columns)), item.file.name)
        hu[:, :, k] = frame.T
        rounded += was_rounded
    if rounded:
        warnings.append(f"fractions of a HU rounded in {rounded} slice(s)")
    return hu


def _slice_hu(item: Slice, shape: tuple[int, int]) -> np.ndarray:
    """One slice in HU, float64 (rows, columns): stored value * slope + intercept, padding as air.

    No presentation LUT: MONOCHROME1 says how to show a slice, not what its HU are. No real-world value map: it may
    map to something else than HU.
    """
    dataset = item.with_pixels()
    try:
        stored = dataset.pixel_array
    except Exception as error:  # decoders raise whatever a damaged stream runs into
        raise Refused(
            "bad_pixels", f"{item.file.name}: the pixel data are cut short or cannot be decoded; copy the series again"
        ) from error
    if stored.shape != shape:
        raise Refused("bad_pixels", f"{item.file.name}: the pixel data are not {shape[0]} x {shape[1]} numbers")
    frame = apply_rescale(stored, dataset)
    if dataset.get("PixelPaddingValue") is not None:
        frame[_padding(stored, dataset)] = AIR_HU
    return frame


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
def _quiet_reading() -> Iterator[None]:
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
