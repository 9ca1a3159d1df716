"""The sample sheet, read while the Snakefile is parsed: plain csv, no pandas."""

import csv
import hashlib
import io
import re
from collections.abc import Collection
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path, PurePath

from vertegrade.cohort.months import month_problems
from vertegrade.cohort.subjects import subject_problems
from vertegrade.cohort.verse_names import verse_ids
from vertegrade.settings.base import plain_path

IDENTIFIER = re.compile(r"[A-Za-z0-9-]+")
SPLITS = ("", "train", "validation", "test")
# What Snakemake takes for a wildcard ({1}) or a path variable (<a>).
PATTERN = re.compile(r"[{}<>]")


class SheetError(ValueError):
    """A table that a person wrote cannot be used; the message lists every problem with its row."""


@dataclass(frozen=True)
class ScanRow:
    """One scan of the sample sheet; paths as the person wrote them, but for slashes too many, empty where not given.

    path: DICOM folder, DICOM zip or NIfTI. mask: NIfTI of VerSe labels. centroids: VerSe JSON.
    points: JSON of six points per vertebra in MosMed's layout, which only the localizer's training reads.
    labels: label table of this scan alone. split: train, validation, test or "". fingerprint: free text that
    re-runs the scan's shard when it changes. series: which series of `path` is meant where several lie there
    (`ct.headers.series_code`). months: since the patient's first scan, a number as text, "" where nobody gave it.
    sex, age_band: of the patient when the scan was made (`subjects`), by which figures are grouped.
    """

    scan_id: str
    patient_id: str
    path: str
    labels: str = ""
    mask: str = ""
    centroids: str = ""
    split: str = ""
    fingerprint: str = ""
    points: str = ""
    series: str = ""
    months: str = ""
    sex: str = ""
    age_band: str = ""

    def annotation(self) -> tuple[str, str]:
        """Column and path of what the localizer's training learns from: the most detailed one; ("", "") if none."""
        given = (("points", self.points), ("mask", self.mask), ("centroids", self.centroids))
        return next(((kind, path) for kind, path in given if path), ("", ""))

    def plain(self, read: Collection[str]) -> dict[str, str]:
        """The row as plain values, for the params of a rule that reads these columns: the others are empty.

        So a change of what a rule does not read, such as a split, does not re-run it. Ids and fingerprint always count.
        """
        return {name: value if name in read or name in ALWAYS else "" for name, value in vars(self).items()}


COLUMNS = [field.name for field in fields(ScanRow)]
REQUIRED = COLUMNS[:3]
ALWAYS = ("scan_id", "patient_id", "fingerprint")
PATHS = ("path", "labels", "mask", "centroids", "points")


def read_sheet(path: str | Path) -> list[ScanRow]:
    """Read a sample sheet, or raise SheetError with all problems."""
    rows, problems = sheet_rows(path)
    if problems:
        raise SheetError(f"{path}:\n" + "\n".join(problems))
    return list(rows.values())


def sheet_rows(path: str | Path) -> tuple[dict[int, ScanRow], list[str]]:
    """Rows of a sample sheet by their line (the header is line 1), and all their problems.

    SheetError where the table itself cannot be read.
    """
    rows = {}
    for line, row in _numbered_rows(path, COLUMNS, REQUIRED, "cohort.sheet"):
        rows[line] = ScanRow(**{name: plain_path(cell) if name in PATHS else cell for name, cell in row.items()})
    return rows, _problems(rows)


def delimited_rows(
    path: str | Path, columns: list[str] | None, required: list[str], setting: str
) -> list[dict[str, str]]:
    """Rows of a text table that people write (comma, semicolon or tab; BOM and CRLF are fine), as texts.

    columns: those that it may have, None for any. setting: the key that names the table.
    SheetError: unreadable, columns that are missing or unknown.
    """
    return [row for _, row in _numbered_rows(path, columns, required, setting)]


def table_text(path: str | Path, setting: str) -> str:
    """The text of a table that people write; SheetError where it cannot be read or is no text in UTF-8."""
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SheetError(f"{path}: not a text in UTF-8; save the table as CSV in UTF-8 ({setting})") from error
    except OSError as error:
        raise SheetError(f"{path}: cannot be read ({error}); check {setting} in the config") from error


def _numbered_rows(
    path: str | Path, columns: list[str] | None, required: list[str], setting: str
) -> list[tuple[int, dict[str, str]]]:
    """`delimited_rows` with the line on which each row ends; rows without any text are left out."""
    text = table_text(path, setting)
    header = text.split("\n", 1)[0]
    reader = csv.reader(io.StringIO(text), delimiter=max(",;\t", key=header.count))
    try:
        names = [name.strip() for name in next(reader, [])]
        lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except csv.Error as error:
        raise SheetError(f"{path}: line {reader.line_num} is no row of a table ({error})") from error
    problems = [f"column {name!r} is missing" for name in required if name not in names]
    problems += [f"column {name!r} is there twice" for name in sorted({n for n in names if names.count(n) > 1})]
    if columns is not None:
        problems += [f"unknown column {name!r}; known: {', '.join(columns)}" for name in names if name not in columns]
    problems += [
        f"line {line}: {len(cells)} cells, the header has {len(names)}; quote a path that contains the separator"
        for line, cells in lines
        if len(cells) > len(names)
    ]
    if problems:
        raise SheetError(f"{path}: " + "; ".join(problems))
    empty = dict.fromkeys(names, "")
    return [(line, empty | dict(zip(names, cells, strict=False))) for line, cells in lines if any(cells)]


def has_splits(path: str) -> bool:
    """Whether a label table contains splits: VerSe'19's sheet, or a table with a split column."""
    if path.lower().endswith(".xlsx"):
        return True
    try:
        with open(path, encoding="utf-8-sig") as file:
            header = file.readline()
    except (OSError, UnicodeDecodeError):
        return False  # the rule that reads the table says what is wrong with it
    return "split" in re.split(r"[,;\t\"\s]+", header)


@cache
def splits_of(path: str) -> dict[str, str] | None:
    """Splits by patient of a label table in text ({} where it has none); None where it cannot be read or is unsure."""
    if not has_splits(path):
        return {}
    splits: dict[str, str] = {}
    try:
        for row in delimited_rows(path, None, ["patient_id", "split"], "cohort.labels"):
            if row["split"] and splits.setdefault(row["patient_id"], row["split"]) != row["split"]:
                return None
    except SheetError:  # the rule that reads the table says what is wrong with it
        return None
    return splits if set(splits.values()) <= set(SPLITS) else None


def _problems(rows: dict[int, ScanRow]) -> list[str]:
    """Every problem of the rows, with the line of the sheet."""
    problems = [] if rows else ["the sheet has no scans"]
    first_line: dict[str, int] = {}
    split_of: dict[str, tuple[str, int]] = {}
    for line, row in rows.items():
        for column in ("scan_id", "patient_id"):
            value = getattr(row, column)
            if not IDENTIFIER.fullmatch(value):
                problems.append(f"line {line}: {column} {value!r} must be letters, digits and hyphens")
        if row.series and not IDENTIFIER.fullmatch(row.series):
            problems.append(f"line {line}: series {row.series!r} must be a code of letters and digits, as index writes")
        if not row.path:
            problems.append(f"line {line}: path is empty")
        for column in PATHS:
            if not getattr(row, column).isprintable():
                problems.append(f"line {line}: {column} contains a line break or another control character; rename it")
        for column in ("labels", "points"):
            if found := PATTERN.search(getattr(row, column)):
                problems.append(
                    f"line {line}: {column} contains {found[0]}, a pattern to Snakemake; rename it, or link to it"
                )
        if row.split not in SPLITS:
            problems.append(f"line {line}: split {row.split!r} must be one of {', '.join(SPLITS[1:])} or empty")
        if row.scan_id in first_line:
            problems.append(f"line {line}: scan_id {row.scan_id!r} is already on line {first_line[row.scan_id]}")
        first_line.setdefault(row.scan_id, line)
        given, where = split_of.setdefault(row.patient_id, (row.split, line)) if row.split else (row.split, line)
        if row.split and given != row.split:
            problems.append(
                f"line {line}: patient {row.patient_id!r} is {row.split!r} here and {given!r} on line {where}; "
                "one patient belongs to one split"
            )
    return problems + _divided(rows) + month_problems(rows) + subject_problems(rows)


def _divided(rows: dict[int, ScanRow]) -> list[str]:
    """Subjects of VerSe, by the names of their images, to whom rows give more than one patient_id."""
    problems = []
    first: dict[str, tuple[str, int]] = {}
    for line, row in rows.items():
        ids = verse_ids(PurePath(row.path).name)
        if not ids:
            continue
        patient, where = first.setdefault(ids[0], (row.patient_id, line))
        if patient != row.patient_id:
            problems.append(
                f"line {line}: {row.path} shows VerSe's subject {ids[0]}, who is patient {patient!r} on line {where}, "
                f"and {row.patient_id!r} here; give both one patient_id, or training and test share a person"
            )
    return problems


def shard_of(scan_id: str, count: int) -> str:
    """Shard of a scan, a number with zeros before it: a stable hash of its id, so that a new scan touches one shard."""
    number = int.from_bytes(hashlib.sha256(f"shard/{scan_id}".encode()).digest()[:8], "big") % count
    return str(number).zfill(len(str(count - 1)))
