"""What an export keeps of a source image's header, as DICOM allows it.

Nothing else of a header gets into an export, and no message names a value of one.
"""

import re
from collections.abc import Callable

from pydicom.datadict import dictionary_VM, dictionary_VR
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from vertegrade.export.times import date_of, offset_of, time_of

SEXES = ("", "M", "F", "O")
NEEDED = ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
# What a written object copies from the source; each may be empty, none may be absent (type 2 of DICOM's modules).
COPIED = ["PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate", "StudyTime"]
COPIED += ["AccessionNumber", "ReferringPhysicianName"]
# All that is kept of a source image: what is copied, and what says which image it is and where it lies. What else a
# header says of the person does not get into an export, and odd tags cannot make an export illegal.
KEPT = [*COPIED, *NEEDED, "SpecificCharacterSet", "PatientAge", "StudyDescription", "SOPClassUID", "Modality"]
KEPT += ["IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence", "TimezoneOffsetFromUTC"]
KEPT += ["Rows", "Columns", "PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient", "SliceThickness"]
KEPT += ["SpacingBetweenSlices", "PositionReferenceIndicator", "InstanceNumber", "NumberOfFrames"]
KEPT += ["SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"]
KEPT += ["DimensionOrganizationSequence", "DimensionIndexSequence"]
# Of IssuerOfPatientIDQualifiersSequence: whose numbers the patient's are, for programs.
ISSUER = ("UniversalEntityID", "UniversalEntityIDType", "IdentifierTypeCode")
TEXTS = ("PN", "LO", "SH")
CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


def reduced(whole: Dataset) -> tuple[Dataset, list[str]]:
    """An image with the tags of KEPT alone, and which of them had to change and how.

    Each of COPIED is there, empty where it is absent or not allowed. A name or text in several values becomes one.
    """
    image, changed = Dataset(), []
    image.file_meta = whole.file_meta
    for tag in KEPT:
        if tag in whole:
            image[tag] = whole[tag]
            changed += [f"{tag} {how}" for how in _tidied(image, tag)]
    for tag in COPIED:
        if image.get(tag) is None:
            setattr(image, tag, "")
    return image, changed


def _tidied(image: Dataset, tag: str) -> list[str]:
    """Make a tag of an image legal; how it changed, none where it did not."""
    value = image.get(tag)
    if tag == "IssuerOfPatientIDQualifiersSequence":
        image.IssuerOfPatientIDQualifiersSequence = [item for item in map(_issuer, value or []) if len(item)]
        return []
    if dictionary_VM(tag) != "1" or dictionary_VR(tag) == "SQ" or tag in NEEDED or not value:
        return []
    legal = LEGAL.get(tag)
    if dictionary_VR(tag) in TEXTS and legal is None:
        several = isinstance(value, MultiValue)
        text = CONTROL.sub(" ", " ".join(filter(None, map(str, value))) if several else str(value))
        return _changed(image, tag, text, "had several values, which are joined" if several else "had line breaks")
    text = "" if isinstance(value, MultiValue) else str(value)
    if legal is not None:
        text = legal(text)
    return _changed(image, tag, text, "was not as DICOM writes it" if text else "was not allowed, and is empty")


def _changed(image: Dataset, tag: str, text: str, how: str) -> list[str]:
    if str(image.get(tag)) == text:
        return []
    setattr(image, tag, text)
    return [how]


def _issuer(whole: Dataset) -> Dataset:
    item = Dataset()
    for tag in ISSUER:
        if tag in whole and not isinstance(whole.get(tag), MultiValue):
            item[tag] = whole[tag]
    return item


def _sex(text: str) -> str:
    return text if text in SEXES else ""


# What makes a text of a tag legal; "" where nothing can.
LEGAL: dict[str, Callable[[str], str]] = {
    "PatientBirthDate": date_of,
    "StudyDate": date_of,
    "StudyTime": time_of,
    "TimezoneOffsetFromUTC": offset_of,
    "PatientSex": _sex,
}
