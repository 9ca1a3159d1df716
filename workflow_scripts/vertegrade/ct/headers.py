"""Pre-flight of a DICOM series: everything that its headers can tell, before one pixel is decoded."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
    MediaStorageDirectoryStorage,
)

from vertegrade.ct.archive import SourceFile
from vertegrade.ct.reasons import Refused
from vertegrade.settings.ct import CtSettings

MULTI_FRAME = (EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage)
# Required numbers, with how many a slice must have.
NUMBERS = {
    "Rows": 1,
    "Columns": 1,
    "PixelSpacing": 2,
    "ImagePositionPatient": 3,
    "ImageOrientationPatient": 6,
    "RescaleSlope": 1,
    "RescaleIntercept": 1,
}
# Tags that may differ between slices by so much at most.
TOLERANCES = {"Rows": 0.0, "Columns": 0.0, "PixelSpacing": 1e-4, "ImageOrientationPatient": 1e-4}
SIDECAR = [
    "Modality",
    "Manufacturer",
    "ManufacturerModelName",
    "KVP",
    "ConvolutionKernel",
    "SliceThickness",
    "SpacingBetweenSlices",
    "PatientPosition",
    "ContrastBolusAgent",
]
CHOICE = [
    "SOPClassUID",
    "ImageType",
    "PatientID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "SamplesPerPixel",
    "RescaleType",
    "LossyImageCompression",
]
TAGS = [*NUMBERS, *SIDECAR, *CHOICE]
# RescaleType US is "unspecified": many vendors write it, or nothing at all, for plain HU.
HU_TYPES = ("", "HU", "US", "HU_MOD")


@dataclass(frozen=True)
class Slice:
    """One CT slice: its file and the tags of its header that conversion looks at (`TAGS`)."""

    file: SourceFile
    header: Dataset

    def numbers(self, tag: str, count: int) -> np.ndarray:
        """The values of a numeric tag, float64 (count,); Refused where they are not that many finite numbers."""
        if tag not in self.header:
            raise Refused("missing_tag", f"{self.file.name}: {tag} is missing; export the series again")
        try:
            values = np.atleast_1d(np.asarray(self.header[tag].value, dtype=np.float64))
        except (ValueError, TypeError):
            values = np.full(count, np.nan)
        if values.shape != (count,) or not np.isfinite(values).all():
            raise Refused(
                "bad_tag", f"{self.file.name}: {tag} is not {count} finite number(s); export the series again"
            )
        return values

    def with_pixels(self) -> Dataset:
        """The whole data set, its pixels not yet decoded."""
        try:
            with self.file.open() as stream:
                dataset = pydicom.dcmread(stream)
        except Exception as error:  # pydicom raises whatever a damaged element runs into
            raise Refused(
                "broken_file", f"{self.file.name}: the file cannot be read to its end; copy it again"
            ) from error
        if "PixelData" not in dataset:
            raise Refused("missing_pixels", f"{self.file.name}: no pixel data; export the series again")
        return dataset


def read_series(files: Iterable[SourceFile], settings: CtSettings) -> tuple[list[Slice], list[str]]:
    """The slices of the one CT series among the files, and warnings about what was left out."""
    slices, warnings = _ct_slices(files)
    found = len(slices)
    slices = [item for item in slices if not _is_localizer(item)]
    if len(slices) < found:
        warnings.append(f"{found - len(slices)} localizer image(s) ignored")
    if not slices:
        raise Refused("not_ct", "the folder or zip has only localizer (scout) images; give the axial CT series")
    if len({str(s.header.get("PatientID", "")) for s in slices}) > 1:
        raise Refused("several_patients", "CT slices of more than one patient lie together; give each a folder")
    slices = _one_series(slices, settings, warnings)
    _check_headers(slices, settings)
    if any(str(s.header.get("LossyImageCompression", "")) == "01" for s in slices):
        warnings.append("the images were once compressed with loss")
    return slices, warnings


def _ct_slices(files: Iterable[SourceFile]) -> tuple[list[Slice], list[str]]:
    """All single-frame CT images; what else lies there is counted in warnings."""
    slices: list[Slice] = []
    others: Counter[str] = Counter()
    empty: list[SourceFile] = []
    for file in files:
        if file.size == 0:
            empty.append(file)
            continue
        header, kind = _read_header(file)
        if header is None:
            others["not DICOM"] += 1
        elif kind in MULTI_FRAME:
            others["multi-frame CT"] += 1
        elif kind == CTImageStorage and not header.get("Modality"):
            raise Refused("missing_tag", f"{file.name}: a CT image without Modality, perhaps cut short; copy it again")
        elif kind == CTImageStorage and header.get("Modality") == "CT":
            slices.append(Slice(file, header))
        elif kind != MediaStorageDirectoryStorage:
            others["DICOM but not CT"] += 1
    if not slices and others["multi-frame CT"]:
        raise Refused("enhanced_ct", "multi-frame (enhanced) CT is not read; export it as one file a slice")
    if not slices and others["DICOM but not CT"]:
        raise Refused("not_ct", "the DICOM files are not CT images (SOP class and Modality); give the CT series")
    suffixes = {_suffix(s.file) for s in slices}
    for file in empty:
        # An empty file named like the slices is a slice that was lost in copying, not a stray note.
        if not slices or _suffix(file) in suffixes:
            raise Refused("broken_file", f"{file.name}: the file is empty; copy the series again")
        others["empty"] += 1
    if not slices:
        raise Refused("no_dicom", "no file here is DICOM (with its 128-byte preamble); give the folder of a CT series")
    return slices, [f"{count} file(s) ignored: {kind}" for kind, count in sorted(others.items())]


def _read_header(file: SourceFile) -> tuple[Dataset | None, str]:
    """The tags that matter, None where the file is not DICOM; and the SOP class (some anonymisers blank the data
    set's own and leave the file header's)."""
    try:
        with file.open() as stream:
            header = pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=list(TAGS))
        return header, str(header.get("SOPClassUID") or header.file_meta.get("MediaStorageSOPClassUID", ""))
    except InvalidDicomError:
        return None, ""
    except Exception as error:  # pydicom raises whatever a damaged element runs into
        raise Refused(
            "broken_file", f"{file.name}: the DICOM header cannot be read or parsed; copy it again"
        ) from error


def _suffix(file: SourceFile) -> str:
    name = file.name.rsplit("/", 1)[-1]
    return name.rsplit(".", 1)[1].lower() if "." in name else ""


def _is_localizer(item: Slice) -> bool:
    kinds = item.header.get("ImageType") or []
    return "LOCALIZER" in ([kinds] if isinstance(kinds, str) else list(kinds))


def _one_series(slices: list[Slice], settings: CtSettings, warnings: list[str]) -> list[Slice]:
    """The slices of the only series that is long enough; shorter ones beside it are left out with a warning."""
    series: dict[str, list[Slice]] = {}
    for item in slices:
        series.setdefault(str(item.header.get("SeriesInstanceUID", "")), []).append(item)
    long = [group for group in series.values() if len(group) >= settings.min_slices]
    if len(long) > 1:
        counts = ", ".join(str(len(group)) for group in long)
        raise Refused("several_series", f"{len(long)} CT series ({counts} slices) lie together; give one of them")
    if not long:
        longest = max(len(group) for group in series.values())
        raise Refused("too_few_slices", f"{longest} CT slice(s), fewer than ct.min_slices = {settings.min_slices}")
    if len(series) > 1:
        warnings.append(f"{len(series) - 1} shorter CT series ignored")
    return long[0]


def _check_headers(slices: list[Slice], settings: CtSettings) -> None:
    """What position and HU depend on is there, possible, and the same in every slice."""
    for item in slices:
        for tag, count in NUMBERS.items():
            item.numbers(tag, count)
        if str(item.header.get("RescaleType") or "").strip().upper() not in HU_TYPES:
            raise Refused("not_hu", f"{item.file.name}: RescaleType says that values are not HU; give the HU series")
        if item.header.get("SamplesPerPixel", 1) != 1:
            raise Refused("not_ct", f"{item.file.name}: colour image; give the CT series itself")
        if item.numbers("RescaleSlope", 1)[0] == 0:
            raise Refused("bad_tag", f"{item.file.name}: RescaleSlope is 0; export the series again")
    first = slices[0]
    voxels = len(slices) * int(first.numbers("Rows", 1)[0]) * int(first.numbers("Columns", 1)[0])
    if not 0 < voxels <= settings.max_voxels:
        raise Refused(
            "too_large", f"{first.file.name}: {voxels} voxels by the header, ct.max_voxels is less (or size 0)"
        )
    if (first.numbers("PixelSpacing", 2) <= 0).any():
        raise Refused("bad_tag", f"{first.file.name}: PixelSpacing is not positive; export the series again")
    row, column = np.split(first.numbers("ImageOrientationPatient", 6), 2)
    if abs(row @ row - 1) > 1e-3 or abs(column @ column - 1) > 1e-3 or abs(row @ column) > 1e-3:
        raise Refused("bad_tag", f"{first.file.name}: ImageOrientationPatient is not two perpendicular unit vectors")
    for item in slices[1:]:
        for tag, tolerance in TOLERANCES.items():
            if np.abs(item.numbers(tag, NUMBERS[tag]) - first.numbers(tag, NUMBERS[tag])).max() > tolerance:
                raise Refused("inconsistent_slices", f"{item.file.name}: {tag} differs from {first.file.name}'s")
        if item.header.get("FrameOfReferenceUID") != first.header.get("FrameOfReferenceUID"):
            raise Refused("inconsistent_slices", f"{item.file.name}: other frame of reference than {first.file.name}'s")
