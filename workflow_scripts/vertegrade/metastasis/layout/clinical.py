"""The clinical table of Spine-Mets-CT-SEG: which vertebrae of a case have blastic, lytic or mixed lesions.

A workbook with a sheet `Spine-Mets-CT-SEG` of one row per case and the columns Case, Age (Y), Sex, Height (m), Weight
(kg), BMI (kg/m^2), Primary cancer, Vertebrae with Lesions, Blastic, Lytic, Mixed and Comments/Fractures, as people who
used it print it. Levels are listed in cells, separated by commas, blanks or both.
"""

import io
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import openpyxl
import pandas as pd

from vertegrade.cohort.sheet import SheetError
from vertegrade.files import new_file
from vertegrade.level_texts import parse_level
from vertegrade.levels import NAMES, craniocaudal_rank
from vertegrade.metastasis.classes import SPINE_METS

COLUMNS = ("Case", "Vertebrae with Lesions", "Blastic", "Lytic", "Mixed")
NOTHING = {"", "none", "no", "n/a", "na", "nan", "-", "0", "nil"}
_LEVEL = r"(?:TH|C|D|T|L|S)\s?\d{1,2}"
_TOKEN = re.compile(rf"({_LEVEL})(?:\s*(?:-|–|to)\s*({_LEVEL}|\d{{1,2}}(?!\d)))?", re.IGNORECASE)
_LONGEST = "\\b(?:and|level|levels|vertebra|vertebrae|to)\\b|[\\s,;.&/+()–-]"  # what may stand between levels


@dataclass(frozen=True)
class Case:
    """A row of the table. classes: of vertebrae by VerSe label, "" with a reason where the table does not decide.

    unreadable: whether levels are named in a way that cannot be read; then nothing is known of the case.
    """

    classes: dict[int, str] = field(default_factory=dict)
    reasons: dict[int, str] = field(default_factory=dict)
    unreadable: bool = False


def read_clinical(path: str | Path) -> dict[str, Case]:
    """Cases by their id. SheetError where the workbook has no such sheet; what is odd in a row is that case's fault."""
    try:
        sheets = pd.read_excel(path, sheet_name=None, dtype=str, keep_default_na=False)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise SheetError(f"{path}: not a readable workbook ({type(error).__name__}); download it again") from error
    for sheet in (sheets.get(SPINE_METS), *sheets.values()):
        if sheet is None:
            continue
        named = {" ".join(str(name).split()).lower(): name for name in sheet.columns}
        if all(column.lower() in named for column in COLUMNS):
            cells = sheet[[named[column.lower()] for column in COLUMNS]].set_axis(list(COLUMNS), axis=1)
            return _cases(cells, path)
    raise SheetError(f"{path}: no sheet with the columns {', '.join(COLUMNS)}; give {SPINE_METS}_Clinical.xlsx")


def _cases(cells: pd.DataFrame, path: str | Path) -> dict[str, Case]:
    cases: dict[str, Case] = {}
    for row in cells.to_dict("records"):
        case = str(row["Case"]).strip().removesuffix(".0")
        if not case:
            continue
        if case in cases:
            raise SheetError(f"{path}: case {case} has two rows; keep one of them")
        cases[case] = _case({name: str(row[name]) for name in COLUMNS[1:]})
    return cases


def _case(cells: Mapping[str, str]) -> Case:
    try:
        listed = {name: levels_of(text) for name, text in cells.items()}
    except ValueError:
        return Case(unreadable=True)
    classes: dict[int, str] = {}
    reasons: dict[int, str] = {}
    for label in sorted(set().union(*listed.values())):
        named = [name.lower() for name in ("Blastic", "Lytic", "Mixed") if label in listed[name]]
        classes[label], reason = _one_class(named)
        if reason:
            reasons[label] = reason
    return Case(classes, reasons)


def _one_class(named: Sequence[str]) -> tuple[str, str]:
    """Class and reason of a vertebra that is listed under these; blastic and lytic together are mixed."""
    if not named:
        return "", "class_unknown"
    if len(named) == 1:
        return named[0], ""
    if sorted(named) == ["blastic", "lytic"]:
        return "mixed", ""
    return "", "class_contradicts"


def levels_of(text: str) -> set[int]:
    """VerSe labels of the levels that a cell lists: `T1, T2 T3`, `T4-T6`, `L1-3`. The sacrum is left out.

    ValueError where something else stands there.
    """
    if text.strip().lower() in NOTHING:
        return set()
    rest = re.sub(_LONGEST, "", _TOKEN.sub(" ", text), flags=re.IGNORECASE)
    if rest:
        raise ValueError(f"{rest!r} is no level")
    found: set[int] = set()
    for first, last in _TOKEN.findall(text):
        region = re.match(r"[A-Za-z]+", first)
        whole = f"{region[0] if region else ''}{last}" if last.isdigit() else last
        found |= _between(first.replace(" ", ""), (whole or first).replace(" ", ""))
    return found


def _between(first: str, last: str) -> set[int]:
    """Labels from one level down to another; those of a usual spine, and the ends."""
    ends = [parse_level(name) for name in (first, last)]
    sacral = [name.upper().startswith("S") for name in (first, last)]
    if sacral[0]:
        return set()
    if ends[0] is None or (ends[1] is None and not sacral[1]):
        raise ValueError(f"{first} to {last} are no levels")
    low = craniocaudal_rank(ends[0])
    high = 24.0 if ends[1] is None else craniocaudal_rank(ends[1])
    if high < low:
        raise ValueError(f"{first} lies below {last}")
    return {label for label in NAMES if low <= craniocaudal_rank(label) <= high and label not in (25, 28)} | {
        label for label in ends if label is not None
    }


def write_clinical(path: Path, rows: Sequence[Mapping[str, str]], about: str) -> None:
    """Write such a workbook: the same rows, the same bytes. rows: texts by column. about: for its first sheet."""
    book = openpyxl.Workbook()
    first = book.active
    assert first is not None
    first.title = "Data Dictionary"
    for line in (("Column Title", "Definition"), ("Case", about)):
        first.append(line)
    sheet = book.create_sheet(SPINE_METS)
    sheet.append(COLUMNS)
    for row in rows:
        sheet.append([row.get(name, "") for name in COLUMNS])
    buffer = io.BytesIO()
    book.save(buffer)
    with new_file(path) as temporary, zipfile.ZipFile(buffer) as made, zipfile.ZipFile(temporary, "w") as written:
        for item in made.infolist():
            content = made.read(item)
            if item.filename == "docProps/core.xml":  # openpyxl writes the time of day there
                content = re.sub(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", b"2020-01-01T00:00:00Z", content)
            written.writestr(zipfile.ZipInfo(item.filename, (2020, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)
