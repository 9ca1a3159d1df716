"""Genant grades of vertebrae: from a label table, from the phantoms' truth; and which vertebrae have one.

What a grade cell may contain: 0, 1, 2, 3; `x` (the reader excluded the vertebra); 0.5 (Genant's "borderline", neither
normal nor mild); nothing (not read). The last three make the row unusable with a reason. Anything else is an error.
"""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vertegrade.cohort.sheet import IDENTIFIER, SheetError, table_text
from vertegrade.level_texts import parse_level
from vertegrade.levels import NAMES
from vertegrade.tables import LABELS, SHAPES, SPLITS, check_table

REQUIRED = ["patient_id", "scan_id", "vertebra", "genant_grade"]
OPTIONAL = ["shape", "split"]
SHAPE_OF = {"": "", "0": "", "none": "", "1": "wedge", "2": "biconcave", "3": "crush"} | {name: name for name in SHAPES}
UNUSABLE = {"x": "excluded_by_reader", "": "grade_missing", "0.5": "grade_borderline"}


class LabelError(ValueError):
    """Labels that cannot be used; the message lists every problem with its row."""


@dataclass(frozen=True)
class Labels:
    """A LABELS table, and the splits that came with it (patient_id -> split; empty where the source has none).

    lines: where a table that people wrote says it, by scan and vertebra.
    """

    table: pd.DataFrame
    given_splits: dict[str, str]
    lines: dict[tuple[str, int], int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Row:
    """One row of a label source, as text."""

    line: int
    patient_id: str
    scan_id: str
    vertebra: str
    genant_grade: str
    shape: str
    split: str


def read_label_table(path: str | Path) -> Labels:
    """Read `patient_id, scan_id, vertebra, genant_grade[, shape][, split]`, or raise LabelError with all problems.

    Comma, semicolon or tab; a byte order mark, CRLF and quoted cells are fine. Ids stay text, so leading zeros
    survive. vertebra: VerSe number or name (19 or T12). shape: wedge, biconcave, crush or VerSe's codes 1, 2, 3.
    """
    try:
        text = table_text(path, "cohort.labels")
    except SheetError as error:
        raise LabelError(str(error)) from error
    header = text.split("\n", 1)[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=header.count))
    try:
        names = [name.strip() for name in next(reader, [])]
        lines = [(reader.line_num, cells) for cells in reader]
    except csv.Error as error:
        raise LabelError(f"{path}: line {reader.line_num} is no row of a table ({error})") from error
    problems = [f"column {name!r} is missing" for name in REQUIRED if name not in names]
    problems += [f"column {name!r} is there twice" for name in sorted({n for n in names if names.count(n) > 1})]
    problems += [
        f"unknown column {name!r}; known: {', '.join(REQUIRED + OPTIONAL)}"
        for name in names
        if name not in REQUIRED + OPTIONAL
    ]
    if problems:
        raise LabelError(f"{path}: " + "; ".join(problems))
    rows, ragged = [], []
    for line, cells in lines:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(names):
            ragged.append(f"line {line}: {len(cells)} cells, the header has {len(names)}")
            continue
        values = dict.fromkeys(OPTIONAL, "") | {n: c.strip() for n, c in zip(names, cells, strict=True)}
        rows.append(_Row(line=line, **values))
    return _labels(rows, ragged, str(path))


def _labels(rows: list[_Row], problems: list[str], name: str) -> Labels:
    """The rows as a LABELS table; LabelError with every problem of every row."""
    problems = problems + ([] if rows or problems else ["the table has no rows"])
    records: list[dict[str, Any]] = []
    where: dict[tuple[str, Any], int] = {}
    patient_of: dict[str, str] = {}
    splits: dict[str, str] = {}
    for row in rows:
        record, found = _record(row)
        problems += [f"line {row.line}: {problem}" for problem in found]
        key = (row.scan_id, record["vertebra"])
        if key in where:
            problems.append(f"line {row.line}: {row.vertebra} of scan {row.scan_id!r} is already on line {where[key]}")
        where.setdefault(key, row.line)
        if patient_of.setdefault(row.scan_id, row.patient_id) != row.patient_id:
            problems.append(
                f"line {row.line}: scan {row.scan_id!r} belongs to patient {patient_of[row.scan_id]!r} above, "
                f"to {row.patient_id!r} here"
            )
        if row.split and splits.setdefault(row.patient_id, row.split) != row.split:
            problems.append(
                f"line {row.line}: patient {row.patient_id!r} is {row.split!r} here, {splits[row.patient_id]!r} above"
            )
        records.append(record)
    if problems:
        raise LabelError(f"{name}:\n" + "\n".join(problems))
    return Labels(check_table(pd.DataFrame(records), LABELS, name), splits, where)


def _record(row: _Row) -> tuple[dict[str, Any], list[str]]:
    """One LABELS row and what is wrong with it."""
    problems = [
        f"{column} {value!r} must be letters, digits and hyphens"
        for column, value in (("patient_id", row.patient_id), ("scan_id", row.scan_id))
        if not IDENTIFIER.fullmatch(value)
    ]
    level = parse_level(row.vertebra)
    if level is None:
        problems.append(f"vertebra {row.vertebra!r} is neither a VerSe number (1-25, 28) nor a name such as T12")
    grade, reason = parse_grade(row.genant_grade)
    if grade is None:
        problems.append(
            f"genant_grade {row.genant_grade!r} is unknown; write 0, 1, 2 or 3, or x to exclude the vertebra"
        )
    if row.shape.lower() not in SHAPE_OF:
        problems.append(f"shape {row.shape!r} is unknown; write wedge, biconcave or crush, or nothing")
    if row.split and row.split not in SPLITS:
        problems.append(f"split {row.split!r} must be one of {', '.join(SPLITS)} or empty")
    record = {
        "patient_id": row.patient_id,
        "scan_id": row.scan_id,
        "vertebra": row.vertebra if level is None else level,
        "genant_grade": grade,
        "shape": SHAPE_OF.get(row.shape.lower(), ""),
        "height_loss": np.nan,
        "usable": reason == "",
        "reason": reason,
    }
    return record, problems


def parse_grade(text: str) -> tuple[float | None, str]:
    """(grade, reason it is unusable) of a grade cell; grade NaN with a reason, None where the text is no grade."""
    if text.lower() in UNUSABLE:
        return np.nan, UNUSABLE[text.lower()]
    try:
        number = float(text)
    except ValueError:
        return None, ""
    return (number, "") if number in (0.0, 1.0, 2.0, 3.0) else (None, "")


def labels_from_truth(truth: pd.DataFrame) -> pd.DataFrame:
    """LABELS of phantoms (PHANTOM_TRUTH): grade and true height loss; vertebrae cut by the scan's end are unusable."""
    complete = truth["complete"].to_numpy(dtype=bool)
    table = truth[["patient_id", "scan_id", "vertebra", "genant_grade", "shape", "height_loss"]].copy()
    table["usable"] = complete
    table["reason"] = np.where(complete, "", "vertebra_incomplete")
    return check_table(table, LABELS, "labels of the phantoms")


def join_labels(parts: Iterable[Labels]) -> Labels:
    """Labels of several sources as one, sorted by scan and vertebra; a vertebra that two sources grade is an error."""
    parts = list(parts)
    if not parts:
        raise LabelError("no labels are named: set cohort.labels, or the labels column of the sample sheet")
    table = pd.concat([part.table for part in parts], ignore_index=True)
    twice = table[table.duplicated(["scan_id", "vertebra"])]
    problems = [
        f"{NAMES[level]} of scan {scan!r} is graded by two label tables"
        for scan, level in zip(twice["scan_id"], twice["vertebra"], strict=True)
    ]
    splits: dict[str, str] = {}
    for part in parts:
        for patient, split in part.given_splits.items():
            if splits.setdefault(patient, split) != split:
                problems.append(f"patient {patient!r} is {splits[patient]!r} in one label table, {split!r} in another")
    if problems:
        raise LabelError("the label tables disagree:\n" + "\n".join(problems))
    table = table.sort_values(["patient_id", "scan_id", "vertebra"], ignore_index=True)
    return Labels(check_table(table, LABELS, "labels"), splits)


def check_patients(labels: pd.DataFrame, crops: pd.DataFrame) -> None:
    """LabelError where a scan has one patient in the cohort and another in the labels: splits by patient would leak."""
    in_labels = dict(zip(labels["scan_id"], labels["patient_id"], strict=True))
    scans = crops[["scan_id", "patient_id"]].drop_duplicates()
    problems = [
        f"scan {scan!r}: patient {patient!r} in the sample sheet, {in_labels[scan]!r} in the labels"
        for scan, patient in zip(scans["scan_id"], scans["patient_id"], strict=True)
        if in_labels.get(scan, patient) != patient
    ]
    if problems:
        raise LabelError("sample sheet and labels name different patients:\n" + "\n".join(problems))
