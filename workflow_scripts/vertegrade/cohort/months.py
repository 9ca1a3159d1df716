"""When a patient's scans were made: the column `months` of the sample sheet. Plain python, as the sheet's reader."""

import re
from collections.abc import Iterable, Mapping
from itertools import combinations, pairwise
from typing import Protocol

# A plain decimal number; int() and float() would also read `1_0`, `1e3` and `inf`.
NUMBER = re.compile(r"\d+(\.\d+)?")


class Scanned(Protocol):
    """What is asked of a row of the sample sheet (`sheet.ScanRow`)."""

    @property
    def scan_id(self) -> str:
        """The scan."""

    @property
    def patient_id(self) -> str:
        """Whom it shows."""

    @property
    def months(self) -> str:
        """Months since the patient's first scan, "" where not given."""


def month_problems(rows: Mapping[int, Scanned]) -> list[str]:
    """What is wrong with the months of rows by their line; each problem names its line, the fault and the remedy."""
    problems = []
    by_patient: dict[str, dict[int, Scanned]] = {}
    for line, row in rows.items():
        if row.months and not NUMBER.fullmatch(row.months):
            problems.append(
                f"line {line}: months {row.months!r} must be a number, 0 or more, such as 0, 6 or 18.5: the months "
                "since the patient's first scan"
            )
        by_patient.setdefault(row.patient_id, {})[line] = row
    for patient, its in by_patient.items():
        first: dict[float, int] = {}
        given = [line for line, row in its.items() if row.months]
        for line, row in its.items():
            if not row.months and given:
                problems.append(
                    f"line {line}: months is empty, and line {given[0]} of the same patient {patient!r} has it; give "
                    "it for all scans of a patient or for none"
                )
            if NUMBER.fullmatch(row.months):
                at = first.setdefault(float(row.months), line)
                if at != line:
                    problems.append(
                        f"line {line}: months {row.months} of patient {patient!r} is also that of line {at}; scans of "
                        "one day are told apart by a fraction (12 and 12.03), or keep one of them"
                    )
    return problems


def follow_up_pairs(rows: Iterable[Scanned]) -> list[tuple[str, str, str, float, float]]:
    """Pairs of scans of one patient that are compared: patient, earlier and later scan, and the months of both.

    Each scan with the one before it, and with the patient's first one. Sorted by patient and months.
    """
    by_patient: dict[str, list[tuple[float, str]]] = {}
    for row in rows:
        if row.months:
            by_patient.setdefault(row.patient_id, []).append((float(row.months), row.scan_id))
    pairs = []
    for patient in sorted(by_patient):
        scans = sorted(by_patient[patient])
        compared = {*pairwise(scans), *(pair for pair in combinations(scans, 2) if pair[0] == scans[0])}
        pairs += [
            (patient, before, after, start, end) for (start, before), (end, after) in sorted(compared, key=_by_end)
        ]
    return pairs


def _by_end(pair: tuple[tuple[float, str], tuple[float, str]]) -> tuple[float, float]:
    (start, _), (end, _) = pair
    return end, start
