"""Every code that an export contains, from one table with sources: codes.csv.

What has no public code has one of the private scheme 99VERTEGRADE. Four traps, each with a test: the suffix of
RadElement's RDE1003 is not the grade; SNOMED 207938004 and 207957008 circulate as compression fractures, but are
closed fractures of the thoracic and the lumbar vertebra; LOINC 33118-1 belongs to obstetrics; RadElement's degree of
compression (RDE2004) is a loss against another height than ours.
"""

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from vertegrade.vertebra_reasons import VERTEBRA_FLAGS, VERTEBRA_REASONS

PRIVATE = "99VERTEGRADE"
PRIVATE_URI = "urn:vertegrade:codes"
# Code systems as FHIR names them (HL7 Terminology; RadElement as RSNA's own examples write it).
SYSTEMS = {
    "SCT": "http://snomed.info/sct",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "NCIt": "http://ncicb.nci.nih.gov/xml/owl/EVS/Thesaurus.owl",
    "UCUM": "http://unitsofmeasure.org",
    "RADELEMENT": "https://radelement.org",
    PRIVATE: PRIVATE_URI,
}


@dataclass(frozen=True)
class CodeRow:
    """A coded concept: value in a scheme (DICOM's designator), with its meaning, and where it was looked up."""

    scheme: str
    value: str
    meaning: str
    source: str


@cache
def code_table() -> dict[str, CodeRow]:
    """All rows of codes.csv by the name that the library uses."""
    with Path(__file__).with_name("codes.csv").open(encoding="utf-8", newline="") as file:
        return {row.pop("name"): CodeRow(**row) for row in csv.DictReader(file)}


def code(name: str) -> CodeRow:
    """The code of a concept; KeyError where the table has none."""
    return code_table()[name]


def vertebra_code(level: str) -> CodeRow:
    """The code of a vertebra by its level's name."""
    return code(f"vertebra-{level}")


def note_code(name: str) -> CodeRow:
    """A flag or a reason of a scan or vertebra, in the private scheme, with its name in words."""
    known = name in VERTEBRA_FLAGS or name in VERTEBRA_REASONS
    source = "vertebra_reasons.py" if known else "reasons.py"
    return CodeRow(PRIVATE, name.replace("_", "-"), name.replace("_", " ").capitalize(), source)


def severity_code(grade: int) -> CodeRow | None:
    """Mild, moderate or severe of Genant grades 1 to 3; None for grade 0."""
    return code(("mild", "moderate", "severe")[grade - 1]) if grade else None
