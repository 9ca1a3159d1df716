"""Dates and times of DICOM: as the source has them, as a new object says them, and as FHIR writes them.

A source without TimezoneOffsetFromUTC says its times in a local time that nobody knows. Then a new object says no local
time either: docs/how-to/export.md has the rule.
"""

import re
from datetime import UTC, date, datetime

from pydicom.dataset import Dataset

DATE = re.compile(r"(\d{4})([.-]?)(\d{2})\2(\d{2})")
TIME = re.compile(r"([01]\d|2[0-3])(:?[0-5]\d(:?([0-5]\d|60)(\.\d{1,6})?)?)?")
AGE = re.compile(r"\d{1,3}[DWMY]")
OFFSET = re.compile(r"[+-]\d{2}[0-5]\d")
# What dates an object. ContentDate and ContentTime must be there in a report and a segmentation, the others nowhere.
PAIRS = (
    ("SeriesDate", "SeriesTime"),
    ("InstanceCreationDate", "InstanceCreationTime"),
    ("DateOfSecondaryCapture", "TimeOfSecondaryCapture"),
    ("ContentDate", "ContentTime"),
)
DATED = ("SR", "SEG")


def date_of(text: str) -> str:
    """YYYYMMDD of `19500131`, `1950.01.31` (as before DICOM 3) or `1950-01-31`; "" where it is no date."""
    found = DATE.fullmatch(text.strip())
    if found is None:
        return ""
    year, _, month, day = found.groups()
    try:
        date(int(year), int(month), int(day))
    except ValueError:
        return ""
    return year + month + day


def time_of(text: str) -> str:
    """HH, HHMM, HHMMSS or HHMMSS.F of the same, or of `11:22:33` (as before DICOM 3); "" where it is no time."""
    return text.strip().replace(":", "") if TIME.fullmatch(text.strip()) else ""


def age_of(text: str) -> str:
    """An age of three digits and its unit, of `050Y` or `50Y`; "" where it is none."""
    return text.strip().zfill(4) if AGE.fullmatch(text.strip()) else ""


def offset_of(text: str) -> str:
    """The difference to UTC, -1200 to +1400; "" where it is none."""
    text = text.strip()
    legal = OFFSET.fullmatch(text) and -1200 <= int(text) <= 1400 and text != "-0000"
    return text if legal else ""


def study_moment(first: Dataset) -> str:
    """When the study began, as a dateTime of FHIR: to the second, or to the day where the time has no offset; or "".

    first: an image as `header.reduced` leaves it. FHIR allows no time without its offset.
    """
    day, time = str(first.StudyDate or ""), str(first.StudyTime or "")
    offset = str(first.get("TimezoneOffsetFromUTC", ""))
    if not day:
        return ""
    day = f"{day[:4]}-{day[4:6]}-{day[6:]}"
    if not offset or len(time) < 4:
        return day
    return f"{day}T{time[:2]}:{time[2:4]}:{time[4:] or '00'}{offset[:3]}:{offset[3:]}"


def dated(dataset: Dataset, first: Dataset, made: datetime) -> None:
    """Give a new object the time of the grades as its own, in the local time of the source `first`.

    made: with its offset. TimezoneOffsetFromUTC speaks for every time of an object, StudyTime too, so it is written
    only where the source has it. Without it the object has no time of its own but what DICOM demands, in UTC.
    ContributionDateTime always says its own offset.
    """
    offset = str(first.get("TimezoneOffsetFromUTC", ""))
    moment = made.astimezone(datetime.strptime(offset, "%z").tzinfo if offset else UTC)
    if offset:
        dataset.TimezoneOffsetFromUTC = offset
    dataset.SeriesDate = dataset.SeriesTime = ""  # highdicom leaves them out
    for day, time in PAIRS:
        if day not in dataset:
            continue
        if offset or (day == "ContentDate" and dataset.Modality in DATED):
            setattr(dataset, day, moment.strftime("%Y%m%d"))
            setattr(dataset, time, moment.strftime("%H%M%S"))
        else:
            delattr(dataset, day)
            delattr(dataset, time)
    for equipment in dataset.get("ContributingEquipmentSequence", []):
        if "ContributionDateTime" in equipment:
            equipment.ContributionDateTime = moment.strftime("%Y%m%d%H%M%S%z")
