"""What every written object says of itself: software, model, series, time, private codes."""

import importlib.metadata
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import CodedConcept
from pydicom.dataset import Dataset

from vertegrade.export.codes import PRIVATE, CodeRow
from vertegrade.export.findings import uid_of

NAME = "Vertegrade"
NOTICE = "RESEARCH USE ONLY, not a medical device"
SERIAL = "none"  # software has no serial number, but DICOM wants one
# Numbers of the series that an export adds to the study, far from those of scanners.
SERIES = {"seg": 7601, "sr": 7602, "capture": 7603}


@dataclass(frozen=True)
class Maker:
    """Who made an export: version of the software, name of the grading method, the model, and when grades were made."""

    version: str
    method: str
    model: str
    made: datetime

    @property
    def parameters(self) -> list[str]:
        """What distinguishes this use of the software from another."""
        return [f"method={self.method}", f"model={self.model}"]


def maker_of(method: str, model: str, made: str) -> Maker:
    """made: when the grades were made, ISO 8601 with its offset; ValueError without one.

    It dates an export, not the clock: same grades, same bytes.
    """
    moment = datetime.fromisoformat(made)
    if moment.tzinfo is None:
        raise ValueError(f"{made}: the time of the grades has no offset to UTC; run the rule `grade` again")
    return Maker(importlib.metadata.version("vertegrade"), method, model, moment)


def concept(row: CodeRow) -> CodedConcept:
    """A code as highdicom takes it."""
    return CodedConcept(value=row.value, scheme_designator=row.scheme, meaning=row.meaning)


def series_of(kind: str, source: Dataset, maker: Maker, number: int = 1) -> dict[str, Any]:
    """Arguments that all of highdicom's objects share. number: of this object in its series.

    Their UIDs are those of nothing yet: `finish` gives an object its own when its content is known.
    """
    unnamed = uid_of("vertegrade/unnamed", kind, source.SeriesInstanceUID)
    return {
        "series_instance_uid": unnamed,
        "series_number": SERIES[kind],
        "sop_instance_uid": unnamed,
        "instance_number": number,
        "manufacturer": NAME,
        "manufacturer_model_name": NAME,
        "software_versions": maker.version,
        "device_serial_number": SERIAL,
        "series_description": f"{NAME}: {NOTICE}",
    }


def coding_schemes() -> list[CodingSchemeIdentificationItem]:
    """The schemes that DICOM does not define."""
    return [
        CodingSchemeIdentificationItem(PRIVATE, name="Codes of Vertegrade, for what has no public code"),
        CodingSchemeIdentificationItem(
            "RADELEMENT", name="RSNA and ACR common data elements", responsible_organization="RSNA"
        ),
    ]
