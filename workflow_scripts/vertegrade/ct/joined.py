"""Files to which an anonymiser gave a different UID each: such UIDs say nothing, and are removed."""

from dataclasses import replace

from vertegrade.ct.slices import Slice
from vertegrade.reasons import Notes

SERIES = "SeriesInstanceUID"
UIDS = (SERIES, "StudyInstanceUID", "FrameOfReferenceUID")
# What slices of one series share; without a UID they are distinguished by these.
SHARED = ("StudyInstanceUID", "SeriesNumber", "Rows", "Columns", "ConvolutionKernel", "SliceThickness", "ImageType")


def joined(slices: list[Slice], min_slices: int, notes: Notes) -> list[Slice]:
    """The slices; where each of them, `min_slices` or more, has a different UID, without that UID. Flagged.

    A series is then all slices that agree in SHARED, named by the least UID among them. Whether they make one stack is
    checked like that of any series.
    """
    said = {tag: {str(item.header[tag]) for item in slices if item.header.get(tag)} for tag in UIDS}
    own = [tag for tag in UIDS if len(said[tag]) == len(slices) >= min_slices]
    if not own:
        return slices
    notes.flags.add("joined")
    notes.warnings.append(f"each file has its own {' and '.join(own)}, which say nothing")
    series: dict[str, str] = {}
    for item in sorted(slices, key=lambda item: str(item.header.get(SERIES))):
        series.setdefault(_shared(item, own), str(item.header.get(SERIES)))
    return [
        replace(
            item,
            header={tag: value for tag, value in item.header.items() if tag not in own}
            | ({SERIES: series[_shared(item, own)]} if SERIES in own else {}),
        )
        for item in slices
    ]


def _shared(item: Slice, own: list[str]) -> str:
    return repr([str(item.header.get(tag)) for tag in SHARED if tag not in own])
