"""Pre-flight of a DICOM series: everything that its headers can show, before one pixel is decoded."""

import hashlib
from collections import Counter
from collections.abc import Iterable

import numpy as np
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
    MediaStorageDirectoryStorage,
)

from vertegrade.ct.archive import SourceFile
from vertegrade.ct.choice import choose_series
from vertegrade.ct.joined import joined
from vertegrade.ct.slices import NUMBERS, Slice, frames_of, read_header
from vertegrade.reasons import Notes, Refused
from vertegrade.settings.ct import CtSettings

MULTI_FRAME = (EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage)
# Tags that may differ between slices by so much at most.
TOLERANCES = {"Rows": 0.0, "Columns": 0.0, "PixelSpacing": 1e-4, "ImageOrientationPatient": 1e-4}
# Values of ImageType that say that a slice shows the brightest, darkest or mean voxels of a slab (PS3.3 C.8.16.1.3).
PROJECTIONS = ("MIP", "MINIP", "MIN_IP", "MAX_IP", "PROJECTION", "PROJECTION IMAGE")
# How ImageType begins that Siemens, Philips, GE and Canon give to spectral and mono-energetic images.
MULTI_ENERGY = ("MONO", "VMI", "M_SP", "DET_DUAL", "ENERGY_PROP_WT", "GSI")
# Texts of ContrastBolusAgent that say that there was none.
NO_AGENT = {"NO", "NONE", "NO CONTRAST", "WITHOUT CONTRAST"}
# RescaleType US is "unspecified": many vendors write it, or nothing at all, for plain HU.
HU_TYPES = ("", "HU", "US", "HU_MOD")


def series_code(uid: str) -> str:
    """The name that a sample sheet gives a series: 16 hex digits of a hash of its SeriesInstanceUID.

    The UID itself would lead back to the archive; its hash reveals nothing to a reader who does not have the UID.
    """
    return hashlib.sha256(f"series/{uid}".encode()).hexdigest()[:16]


def read_series(files: Iterable[SourceFile], settings: CtSettings, notes: Notes, series: str = "") -> list[Slice]:
    """The slices of the CT series of code `series`, or of the only one among the files where no code is given (or of
    the best one, where settings let the rule choose)."""
    slices = joined(_ct_slices(files, notes), settings.min_slices, notes)
    if series:
        slices = [item for item in slices if series_code(str(item.header.get("SeriesInstanceUID", ""))) == series]
        if not slices:
            raise Refused("series_missing", f"no CT series of code {series} is here; write the sample sheet again")
    found = len(slices)
    slices = [item for item in slices if "LOCALIZER" not in item.kinds()]
    if len(slices) < found:
        notes.warnings.append(f"{found - len(slices)} localizer image(s) ignored")
    if not slices:
        raise Refused("not_ct", "the folder or zip has only localizer (scout) images; give the axial CT series")
    if len({str(s.header.get("PatientID", "")) for s in slices}) > 1:
        raise Refused("several_patients", "CT slices of more than one patient lie together; give each a folder")
    slices = _one_series(slices, settings, notes)
    _check_kind(slices)
    _check_numbers(slices, settings)
    _note_kind(slices, notes)
    _note_ends(slices, notes)
    return slices


def _ct_slices(files: Iterable[SourceFile], notes: Notes) -> list[Slice]:
    """All CT images, frame by frame; other files are counted in warnings."""
    slices: list[Slice] = []
    others: Counter[str] = Counter()
    empty: list[SourceFile] = []
    for file in files:
        if file.size == 0:
            empty.append(file)
            continue
        image = read_header(file)
        if image is None:
            others["not DICOM"] += 1
            continue
        kind, modality = image.sop_class(), image.header.get("Modality")
        if kind in (CTImageStorage, *MULTI_FRAME) and not modality:
            raise Refused("missing_tag", f"{file.name}: a CT image without Modality, perhaps cut short; copy it again")
        elif kind in MULTI_FRAME and modality == "CT":
            slices += frames_of(image)
        elif kind == CTImageStorage and modality == "CT":
            slices.append(image)
        elif kind != MediaStorageDirectoryStorage:
            others["DICOM but not CT"] += 1
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
    notes.warnings += [f"{count} file(s) ignored: {kind}" for kind, count in sorted(others.items())]
    return slices


def _suffix(file: SourceFile) -> str:
    name = file.name.rsplit("/", 1)[-1]
    return name.rsplit(".", 1)[1].lower() if "." in name else ""


def _one_series(slices: list[Slice], settings: CtSettings, notes: Notes) -> list[Slice]:
    """The slices of the only series that is long enough; shorter ones are left out with a warning."""
    series: dict[str, list[Slice]] = {}
    for item in slices:
        series.setdefault(str(item.header.get("SeriesInstanceUID", "")), []).append(item)
    long = [group for group in series.values() if len(group) >= settings.min_slices]
    if not long:
        longest = max(len(group) for group in series.values())
        raise Refused(
            "too_few_slices",
            f"{longest} CT slice(s), fewer than ct.min_slices = {settings.min_slices}; give the whole series",
        )
    if len(series) > len(long):
        notes.warnings.append(f"{len(series) - len(long)} shorter CT series ignored")
    if len(long) == 1:
        return long[0]
    if settings.choose_series == "no":
        counts = ", ".join(str(len(group)) for group in long)
        raise Refused(
            "several_series",
            f"{len(long)} CT series ({counts} slices) lie together; give one of them, or set ct.choose_series",
        )
    return choose_series(long, settings.choose_series, notes)


def _check_kind(slices: list[Slice]) -> None:
    """The images are what the scanner saw, in HU, with nothing written into them."""
    for item in slices:
        if str(item.header.get("RescaleType") or "").strip().upper() not in HU_TYPES:
            raise Refused("not_hu", f"{item.name}: RescaleType says that values are not HU; give the HU series")
        if item.header.get("SamplesPerPixel", 1) != 1:
            raise Refused("not_ct", f"{item.name}: colour image; give the CT series itself")
        if any(kind.upper() in PROJECTIONS for kind in item.kinds()):
            raise Refused("projection", f"{item.name}: an intensity projection (MIP); give the slices it was made from")
        if str(item.header.get("BurnedInAnnotation") or "").strip().upper() == "YES":
            raise Refused(
                "burned_in", f"{item.name}: text is burned into the pixels (0028,0301); give the series without it"
            )


def _check_numbers(slices: list[Slice], settings: CtSettings) -> None:
    """What position and HU depend on is there, possible, and the same in every slice."""
    for item in slices:
        for tag, count in NUMBERS.items():
            item.numbers(tag, count)
        if item.numbers("RescaleSlope", 1)[0] == 0:
            raise Refused("bad_tag", f"{item.name}: RescaleSlope is 0; export the series again")
    first = slices[0]
    voxels = len(slices) * int(first.numbers("Rows", 1)[0]) * int(first.numbers("Columns", 1)[0])
    if not 0 < voxels <= settings.max_voxels:
        raise Refused(
            "too_large",
            f"{first.name}: {voxels} voxels by the header, more than ct.max_voxels = {settings.max_voxels} (or none); "
            "export the series again",
        )
    if (first.numbers("PixelSpacing", 2) <= 0).any():
        raise Refused("bad_tag", f"{first.name}: PixelSpacing is not positive; export the series again")
    row, column = np.split(first.numbers("ImageOrientationPatient", 6), 2)
    if abs(row @ row - 1) > 1e-3 or abs(column @ column - 1) > 1e-3 or abs(row @ column) > 1e-3:
        raise Refused(
            "bad_tag",
            f"{first.name}: ImageOrientationPatient is not two perpendicular unit vectors; export the series again",
        )
    for tag, tolerance in TOLERANCES.items():
        values = np.array([item.numbers(tag, NUMBERS[tag]) for item in slices])
        apart = np.abs(values - values[0]).max(axis=1) > tolerance
        if apart.any():
            other = slices[int(apart.argmax())]
            raise Refused("inconsistent_slices", f"{other.name}: {tag} differs from {first.name}'s; give one series")
    for item in slices[1:]:
        if item.header.get("FrameOfReferenceUID") != first.header.get("FrameOfReferenceUID"):
            raise Refused(
                "inconsistent_slices", f"{item.name}: other frame of reference than {first.name}'s; give one series"
            )


def _note_kind(slices: list[Slice], notes: Notes) -> None:
    """Flags of what is read, but is not the plain CT that the grader learned from."""
    kinds = {kind.upper() for item in slices for kind in item.kinds()}
    header = slices[0].header
    if any(item.lossy() for item in slices):
        notes.flags.add("lossy")
        notes.warnings.append("the images were once compressed with loss")
    if "DERIVED" in kinds:
        notes.flags.add("derived")
    if contrast_given(slices):
        notes.flags.add("contrast")
    energies = str(header.get("MultienergyCTAcquisition") or "").strip().upper() == "YES"
    if energies or any(kind.startswith(MULTI_ENERGY) for kind in kinds):
        notes.flags.add("multi_energy")


def contrast_given(slices: list[Slice]) -> bool | None:
    """Whether a contrast agent was given; None where the headers do not say it.

    An empty ContrastBolusAgent says nothing: profiles of anonymisation (PS3.15 E) blank it, whatever it was.
    """
    administered = {str(item.header.get("ContrastBolusAgentAdministered") or "") for item in slices} - {""}
    if administered:  # of enhanced CT, in each frame: an agent may be named that other frames had
        return "YES" in administered
    agents = {str(item.header.get("ContrastBolusAgent") or "").strip().upper() for item in slices} - {""}
    if agents - NO_AGENT or any(item.header.get("ContrastBolusAgentSequence") for item in slices):
        return True
    return False if agents else None


def _note_ends(slices: list[Slice], notes: Notes) -> None:
    """Slices lost at an end leave no gap; only the header's own counts can show them."""
    promised = max(item.whole("ImagesInAcquisition") or 0 for item in slices)
    distinct = {number for item in slices if (number := item.whole("InstanceNumber")) is not None}
    if promised > len(slices):
        notes.flags.add("ends_missing")
        notes.warnings.append(f"the header counts {promised} images, {len(slices)} are here: an end may be missing")
    elif len(distinct) == len(slices) and min(distinct) > 1:
        notes.flags.add("ends_missing")
        notes.warnings.append(f"instance numbers begin at {min(distinct)}: slices may be missing at one end")
