"""What an export keeps of a source image's header, as DICOM allows it.

Nothing else of a header gets into an export, and no message names a value of one.
"""

import re
from collections.abc import Callable

from highdicom import SpecificCharacterSetValues
from pydicom.datadict import dictionary_VM, dictionary_VR
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from vertegrade.export.times import age_of, date_of, offset_of, time_of

SEXES = ("", "M", "F", "O")
NEEDED = ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
# What a written object copies from the source; each may be empty, none may be absent (type 2 of DICOM's modules).
COPIED = ["PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate", "StudyTime"]
COPIED += ["AccessionNumber", "ReferringPhysicianName"]
# All that is kept of a source image: what is copied, and what says which image it is and where it lies. What else a
# header says of the person does not get into an export, and odd tags cannot make an export illegal.
KEPT = [*COPIED, *NEEDED, "PatientAge", "StudyDescription", "SOPClassUID", "Modality"]
KEPT += ["IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence", "TimezoneOffsetFromUTC"]
KEPT += ["Rows", "Columns", "PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient", "SliceThickness"]
KEPT += ["SpacingBetweenSlices", "PositionReferenceIndicator", "InstanceNumber", "NumberOfFrames"]
KEPT += ["SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"]
KEPT += ["DimensionOrganizationSequence", "DimensionIndexSequence"]
# Of IssuerOfPatientIDQualifiersSequence: whose numbers the patient's are, for programs.
ISSUER = ("UniversalEntityID", "UniversalEntityIDType", "IdentifierTypeCode")
# Names and texts, and how many characters one may have; of a name each of its groups.
LONGEST = {"PN": 64, "LO": 64, "SH": 16}
GROUPS, COMPONENTS = 3, 5  # of a name at most: Latin, ideographic and phonetic; family, given, middle, prefix, suffix
NUMBERS = ("AccessionNumber", "StudyID")  # two of them joined would be another number
CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
UNREADABLE = "\ufffd"  # what pydicom reads where the bytes are none of the character set
NOT_ALLOWED = "was not allowed, and is empty"
UTF8 = "ISO_IR 192"
# Character sets that an export keeps. Those that switch between sets by escape sequences are not among them: highdicom
# refuses most, the usual Japanese, Korean and Chinese ones too.
PLAIN = {each.value for each in SpecificCharacterSetValues if not each.value.startswith("ISO 2022")}


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
    return image, [*changed, *_with_character_set(image, whole)]


def _tidied(image: Dataset, tag: str) -> list[str]:
    """Make a tag of an image legal; how it changed, none where it did not."""
    value = image.get(tag)
    if tag == "IssuerOfPatientIDQualifiersSequence":
        items = [item for item in map(_issuer, value or []) if len(item)]
        image.IssuerOfPatientIDQualifiersSequence = items
        if len(items) != 1:  # DICOM has it with one item or not at all
            del image.IssuerOfPatientIDQualifiersSequence
        return ["was not allowed, and is left out"] if len(items) > 1 else []
    if dictionary_VM(tag) != "1" or dictionary_VR(tag) == "SQ" or tag in NEEDED or not value:
        return []
    legal = LEGAL.get(tag)
    if dictionary_VR(tag) in LONGEST and legal is None:
        parts = [str(part) for part in value] if isinstance(value, MultiValue) else [str(value)]
        text, changed = _text(tag, parts)
        # As text, whatever VR the file gives it: a name that was read keeps the bytes of its character set.
        image.add_new(tag, dictionary_VR(tag), text)
        return changed
    text = "" if isinstance(value, MultiValue) else str(value)
    if legal is not None:
        text = legal(text)
    if str(value) == text:
        return []
    setattr(image, tag, text)
    return ["was not as DICOM writes it" if text else NOT_ALLOWED]


def _text(tag: str, parts: list[str]) -> tuple[str, list[str]]:
    """A name or text of these values as one that DICOM allows, "" where there is none; and how it changed."""
    filled = [part for part in parts if part]
    joined = " ".join(filled)
    text = CONTROL.sub(" ", joined)
    if (tag in NUMBERS and len(filled) > 1) or not _allowed(dictionary_VR(tag), text):
        return "", [NOT_ALLOWED]
    changed = ["had several values, which are joined"] if len(parts) > 1 else []
    changed += ["had line breaks"] if text != joined else []
    return text, changed + (["has letters that could not be read"] if UNREADABLE in text else [])


def _allowed(vr: str, text: str) -> bool:
    """Whether a text is short enough, and a name has no more parts than DICOM knows."""
    if vr != "PN":
        return len(text) <= LONGEST[vr]
    groups = text.split("=")
    short = all(len(group) <= LONGEST[vr] and group.count("^") < COMPONENTS for group in groups)
    return short and len(groups) <= GROUPS


def _with_character_set(image: Dataset, whole: Dataset) -> list[str]:
    """Say in which character set the texts of an image will be written: that of the source, or UTF-8.

    The texts are decoded, so both say the same. A source that names no character set has none where ASCII suffices.
    """
    own = whole.get("SpecificCharacterSet")
    if isinstance(own, str) and own in PLAIN:
        image.SpecificCharacterSet = own
        return []
    texts = [str(image[tag].value) for tag in KEPT if tag in image and dictionary_VR(tag) in LONGEST]
    if "SpecificCharacterSet" not in whole and all(map(str.isascii, texts)):
        return []
    image.SpecificCharacterSet = UTF8
    return [f"SpecificCharacterSet became {UTF8} (UTF-8)"]


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
    "PatientAge": age_of,
    "PatientBirthDate": date_of,
    "StudyDate": date_of,
    "StudyTime": time_of,
    "TimezoneOffsetFromUTC": offset_of,
    "PatientSex": _sex,
}
