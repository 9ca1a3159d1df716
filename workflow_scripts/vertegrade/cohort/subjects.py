"""What the sample sheet says of a patient: sex, and age as a band. Plain python, as the sheet's reader.

An age is never asked for in years, and no date is: a band of ten years names nobody. What is not given is not known.
"""

import re
from collections.abc import Mapping
from typing import Protocol

SEXES = ("F", "M", "O")  # as in DICOM: female, male, other
# From 90 years on there is one band, as ages above are so rare that they may tell who it is.
AGE_BANDS = ("0-9", *(f"{n}0-{n}9" for n in range(1, 9)), "90+")
DICOM_AGE = re.compile(r"(\d{3})([DWMY])")
PER_YEAR = {"D": 365.25, "W": 52.18, "M": 12.0, "Y": 1.0}


class Described(Protocol):
    """What is asked of a row of the sample sheet (`sheet.ScanRow`)."""

    @property
    def patient_id(self) -> str:
        """Whom it shows."""

    @property
    def sex(self) -> str:
        """One of SEXES, "" where not given."""

    @property
    def age_band(self) -> str:
        """Decade of the age when the scan was made, "" where not given."""


def subject_problems(rows: Mapping[int, Described]) -> list[str]:
    """What is wrong with sex and age band of rows by their line; each names its line, the fault and the remedy."""
    problems = []
    first: dict[str, tuple[str, int]] = {}
    for line, row in rows.items():
        if row.sex and row.sex not in SEXES:
            problems.append(f"line {line}: sex {row.sex!r} must be one of {', '.join(SEXES)} or empty")
        if row.age_band and row.age_band not in AGE_BANDS:
            problems.append(
                f"line {line}: age_band must be ten years such as 60-69, or 90+, or empty; give no age in years"
            )
        if row.sex:
            sex, where = first.setdefault(row.patient_id, (row.sex, line))
            if row.sex != sex:
                problems.append(
                    f"line {line}: patient {row.patient_id!r} has sex {row.sex!r} here and {sex!r} on line {where}"
                )
    return problems


def dicom_sex(text: str) -> str:
    """One of SEXES from a PatientSex (0010,0040); "" where it says anything else."""
    return text if text in SEXES else ""


def dicom_age_band(text: str) -> str:
    """One of AGE_BANDS from a PatientAge (0010,1010), such as 063Y; "" where it is none.

    An age of 0 years is not known: some anonymisers write it for everybody.
    """
    found = DICOM_AGE.fullmatch(text)
    if not found or not int(found[1]):
        return ""
    years = int(found[1]) / PER_YEAR[found[2]]
    return AGE_BANDS[min(int(years / 10), len(AGE_BANDS) - 1)]
