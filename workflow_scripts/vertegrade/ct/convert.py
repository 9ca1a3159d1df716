"""One scan of the sample sheet to a canonical volume, or a reason why not. A bad scan never stops the others."""

import traceback
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from vertegrade.cohort.sheet import ScanRow
from vertegrade.ct.converted import Converted, check_volume
from vertegrade.ct.dicom import convert_dicom
from vertegrade.ct.nifti import convert_nifti
from vertegrade.ct.nifti_file import NIFTI_NAME
from vertegrade.ct.volume import write_volume
from vertegrade.files import write_json
from vertegrade.reasons import Refused
from vertegrade.settings.ct import CtSettings


def convert_scan(row: ScanRow, folder: Path, settings: CtSettings) -> dict[str, Any]:
    """Convert one scan to `folder/{scan_id}_ct.nii.gz` and `folder/{scan_id}_ct.json`; return its row of tables.SCANS.

    Every fault of a scan, foreseen or not, becomes a row with a reason; then neither file is there. Only running out
    of memory and what fails in writing (a full disk) get through, because they say nothing about the scan.
    """
    try:
        converted = read_scan(Path(row.path), settings, row.series)
    except Refused as refused:
        return refused_row(row, refused)
    files = scan_files(row, folder)
    image_sha256 = converted.volume.sha256
    try:
        write_volume(files[0], converted.volume)
        write_json(files[1], _sidecar(converted, image_sha256))
    except BaseException:
        for file in files:
            file.unlink(missing_ok=True)
        raise
    return _row(row, "done") | {
        "slices": float(converted.slices),
        "slice_spacing_mm": converted.slice_spacing_mm,
        "slice_thickness_mm": converted.slice_thickness_mm,
        "pixel_mm": converted.pixel_mm,
        "manufacturer": str(converted.header.get("Manufacturer") or ""),
        "kernel": str(converted.header.get("ConvolutionKernel") or ""),
        "image_sha256": image_sha256,
        "warnings": "; ".join(converted.notes.warnings),
        "flags": " ".join(sorted(converted.notes.flags)),
    }


def read_scan(path: Path, settings: CtSettings, series: str = "") -> Converted:
    """A scan in memory, checked; of a folder or zip the series of that code, "" for its only one.

    Refused whatever its fault is; only running out of memory gets through.
    """
    try:
        converted = _convert(path, settings, series)
        check_volume(converted)
    except (MemoryError, Refused):
        raise
    except Exception as error:
        raise _unexpected(error) from None
    return converted


def scan_files(row: ScanRow, folder: Path) -> list[Path]:
    """What conversion of a scan leaves in `folder`: the volume and its sidecar."""
    return [folder / f"{row.scan_id}_ct.nii.gz", folder / f"{row.scan_id}_ct.json"]


def refused_row(row: ScanRow, refused: Refused) -> dict[str, Any]:
    """The row of tables.SCANS of a scan that is not converted."""
    return _row(row, refused.state, refused.reason, f"{row.path}: {refused.message}")


def _convert(path: Path, settings: CtSettings, series: str) -> Converted:
    """Read a folder, a zip or a NIfTI."""
    if not path.exists():
        raise Refused("path_missing", "no such file or folder; correct the path in the sample sheet")
    if path.is_dir():
        return convert_dicom(path, settings, series)
    if NIFTI_NAME.search(path.name):
        return convert_nifti(path, settings)
    if path.suffix == ".zip" or zipfile.is_zipfile(path):
        return convert_dicom(path, settings, series)
    raise Refused("unknown_format", "give a folder of DICOM files, a zip of one, a .nii or a .nii.gz")


def _unexpected(error: Exception) -> Refused:
    """Type and place of an error; never its text, which may quote the header and with it the person."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(place.filename).name}:{place.lineno}"
    return Refused("unexpected_error", f"{type(error).__name__} at {where}; please report it with the type of scan")


def _row(row: ScanRow, state: str, reason: str = "", message: str = "") -> dict[str, Any]:
    """A row of tables.SCANS with nothing but the state known."""
    return {
        "patient_id": row.patient_id,
        "scan_id": row.scan_id,
        "state": state,
        "reason": reason,
        "message": message,
        "slices": np.nan,
        "slice_spacing_mm": np.nan,
        "slice_thickness_mm": np.nan,
        "pixel_mm": np.nan,
        "manufacturer": "",
        "kernel": "",
        "image_sha256": "",
        "warnings": "",
        "flags": "",
    }


def _sidecar(converted: Converted, image_sha256: str) -> dict[str, Any]:
    """What is written next to the volume: whitelisted header values and geometry, no UID, date or name."""
    thickness = converted.slice_thickness_mm
    return converted.header | {
        "image_sha256": image_sha256,
        "shape": [int(size) for size in converted.volume.hu.shape],
        "spacing_mm": [round(float(size), 6) for size in converted.volume.spacing_mm],
        "slice_spacing_mm": converted.slice_spacing_mm,
        "slice_thickness_mm": thickness if np.isfinite(thickness) else None,
        "source_shape": list(converted.source_shape),
        "source_axcodes": converted.source_axcodes,
        "warnings": converted.notes.warnings,
        "flags": sorted(converted.notes.flags),
        "series_choice": converted.notes.choice,
    }
