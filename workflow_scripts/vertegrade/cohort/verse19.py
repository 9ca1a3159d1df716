"""The original Genant grades of VerSe'19: Löffler et al., Radiol Artif Intell 2020, 2(4):e190138, appendix E1 (xlsx).

One row per image series, columns `T1_fx-g` ... `L6_fx-g` (grade 0-3, x: foreign material, empty: not in the scan) and
`T1_fx-s` ... `L6_fx-s` (0 none, 1 wedge, 2 biconcave, 3 crush). The files of VerSe'19 are called
`sub-verse{subject_ID:03d}_split-verse{verse_ID:03d}_ct.nii.gz`, or `sub-verse{subject_ID:03d}_ct.nii.gz` where the
subject has one series and both ids are equal. So scan_id = verse{verse_ID:03d}, patient_id = verse{subject_ID:03d}.
"""

import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vertegrade.cohort.labels import LabelError, Labels
from vertegrade.levels import LABEL_OF
from vertegrade.tables import LABELS, check_table

SHEET = "VerSe_dataset"
GRADED = [f"T{i}" for i in range(1, 13)] + [f"L{i}" for i in range(1, 7)]
SPLIT_OF = {"training": "train", "validation public": "validation", "test secret": "test"}
SHAPE_OF = {0: "", 1: "wedge", 2: "biconcave", 3: "crush"}
IDS = ["verse_ID", "subject_ID", "dataset"]
COLUMNS = IDS + [f"{level}_fx-{kind}" for level in GRADED for kind in "gs"]


def read_verse19(path: str | Path) -> Labels:
    """Read the grade sheet: a LABELS row per graded vertebra, and the official split; LabelError with all problems."""
    records: list[dict[str, Any]] = []
    splits: dict[str, str] = {}
    problems: list[str] = []
    seen: dict[int, int] = {}
    for line, row in _rows(path):
        verse, subject = row["verse_ID"], row["subject_ID"]
        if not all(isinstance(value, int | float) and value == int(value) for value in (verse, subject)):
            problems.append(f"row {line}: verse_ID {verse!r} and subject_ID {subject!r} must be whole numbers")
            continue
        verse, subject = int(verse), int(subject)
        if seen.setdefault(verse, line) != line:
            problems.append(f"row {line}: verse_ID {verse} is already on row {seen[verse]}")
        patient = f"verse{subject:03d}"
        split = SPLIT_OF.get(row["dataset"])
        if split is None:
            problems.append(f"row {line}: dataset {row['dataset']!r} is none of {', '.join(SPLIT_OF)}")
        elif splits.setdefault(patient, split) != split:
            problems.append(f"row {line}: subject {subject} is in {split} here and in {splits[patient]} above")
        for level in GRADED:
            grade, shape = row[f"{level}_fx-g"], row[f"{level}_fx-s"]
            grade = grade.strip().lower() if isinstance(grade, str) else grade
            if grade is None and shape is None:
                continue
            if grade != "x" and (grade not in (0, 1, 2, 3) or shape not in SHAPE_OF):
                problems.append(f"row {line}: {level} has grade {grade!r} and shape {shape!r}; known are 0-3 and x")
                continue
            records.append(_record(patient, f"verse{verse:03d}", level, grade, shape))
    if problems:
        raise LabelError(f"{path}:\n" + "\n".join(problems))
    table = pd.DataFrame(records).sort_values(["patient_id", "scan_id", "vertebra"])
    return Labels(check_table(table, LABELS, str(path)), splits)


def _record(patient: str, scan: str, level: str, grade: Any, shape: Any) -> dict[str, Any]:
    usable = grade != "x"
    return {
        "patient_id": patient,
        "scan_id": scan,
        "vertebra": LABEL_OF[level],
        "genant_grade": float(grade) if usable else np.nan,
        "shape": SHAPE_OF[shape] if usable else "",
        "height_loss": np.nan,
        "usable": usable,
        "reason": "" if usable else "foreign_material",
    }


def _rows(path: str | Path) -> list[tuple[int, dict[str, Any]]]:
    """The filled rows of the sheet with their number in Excel, as column -> value."""
    import openpyxl  # takes a fifth of a second, for this sheet alone

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Workbook contains no default style")
            book = openpyxl.load_workbook(path, data_only=True, read_only=True)
    except (OSError, zipfile.BadZipFile, KeyError) as error:
        raise LabelError(f"{path}: cannot read the VerSe'19 sheet ({error}); check cohort.labels") from error
    if SHEET not in book.sheetnames:
        raise LabelError(
            f"{path}: not the grade sheet of VerSe'19 (sheet {SHEET!r} is missing), the only XLSX that is read; save a "
            "table of yours as CSV in UTF-8"
        )
    # The file claims 16384 columns; all that counts is in the first 48.
    rows = book[SHEET].iter_rows(values_only=True, max_col=48)
    header = [str(cell) for cell in next(rows, ())]
    missing = [column for column in COLUMNS if column not in header]
    if missing:
        raise LabelError(f"{path}: columns are missing: {', '.join(missing[:5])}; is this appendix E1 of Löffler 2020?")
    filled = [
        (line, dict(zip(header, cells, strict=False)))
        for line, cells in enumerate(rows, start=2)
        if any(cell is not None for cell in cells)
    ]
    book.close()
    return filled
