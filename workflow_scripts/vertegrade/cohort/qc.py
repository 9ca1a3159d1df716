"""Marks of quality control: what a person says of whole scans, in a table that the page of all patients exports.

Columns: scan_id, mark (`pass`, `doubt`, `fail`, or empty) and note, free text. Read while the Snakefile is parsed, so
no pandas.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from vertegrade.cohort.sheet import SheetError, delimited_rows
from vertegrade.reasons import Notes, Refused

MARKS = ("pass", "doubt", "fail")
COLUMNS = ["scan_id", "mark", "note"]


class QcMark(NamedTuple):
    """mark: one of MARKS, or "" where there is a note alone."""

    mark: str
    note: str


def read_marks(path: str | Path, scans: Collection[str]) -> dict[str, QcMark]:
    """Marks by scan, in the table's order; "" is no marks. scans: ids of the cohort.

    SheetError: unreadable, missing or unknown columns, an unknown mark, a scan twice or one that is not in the cohort;
    all rows that are wrong are named by line.
    """
    marks: dict[str, QcMark] = {}
    problems = []
    rows = delimited_rows(path, COLUMNS, COLUMNS[:2], "cohort.qc") if str(path) else []
    for line, row in enumerate(rows, start=2):
        scan, mark = row["scan_id"], row["mark"]
        if mark and mark not in MARKS:
            problems.append(f"line {line}: mark {mark!r} must be one of {', '.join(MARKS)} or empty")
        if scan in marks:
            problems.append(f"line {line}: scan {scan!r} has a mark already; keep one of its rows")
        if scan not in scans:
            problems.append(f"line {line}: scan {scan!r} is not in the cohort; correct its scan_id or remove the row")
        marks[scan] = QcMark(mark, row.get("note", ""))
    if problems:
        raise SheetError(f"{path} (cohort.qc):\n" + "\n".join(problems))
    return marks


def take_mark(marks: Mapping[str, str], scan_id: str, notes: Notes) -> None:
    """Flag a scan that a person doubts; Refused (`qc_fail`) where it is marked as failed. marks: by scan."""
    mark = marks.get(scan_id, "")
    if mark == "fail":
        raise Refused("qc_fail", f"scan {scan_id}: marked fail in the table of cohort.qc; remove the mark to use it")
    if mark == "doubt":
        notes.flags.add("qc_doubt")
