"""A sheet that is written again keeps what a person edited in it.

`SHEET.index.json` contains the cells that the index found last time (`written`). A cell of the sheet that differs from
them was edited. So a scan that moved gets its new path, and a corrected patient_id stays.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from vertegrade.cohort.sheet import COLUMNS, PATHS, ScanRow
from vertegrade.settings.base import plain_path

Cells = dict[str, str]


class Before(NamedTuple):
    """What the index noted when it wrote the sheet: cells by scan that it found, and a person's of scans now gone."""

    written: Mapping[str, Cells]
    gone: Mapping[str, Cells]


class Kept(NamedTuple):
    """rows: the new sheet. written, gone: what to note for the next time. told: what a person should know of it."""

    rows: list[ScanRow]
    written: dict[str, Cells]
    gone: dict[str, Cells]
    told: list[str]


def read_before(report: Path) -> Before:
    """What the index noted; nothing where it noted none. ValueError where the file is damaged."""
    if not report.exists():
        return Before({}, {})
    noted = json.loads(report.read_text(encoding="utf-8"))
    if not isinstance(noted, dict):
        raise ValueError("no report of an index")
    return Before(noted.get("written", {}), noted.get("gone", {}))


def cells_of(rows: Iterable[ScanRow]) -> dict[str, Cells]:
    """The cells of rows that are not empty, by scan; paths as the sheet's reader gives them."""
    return {
        row.scan_id: {
            name: plain_path(cell) if name in PATHS else cell
            for name, cell in asdict(row).items()
            if cell and name != "scan_id"
        }
        for row in rows
    }


def keep_edits(found: Sequence[ScanRow], sheet: Sequence[ScanRow], before: Before) -> Kept:
    """The rows that were found, with what a person edited in the sheet that was there.

    New scans are added. A row that the person removed stays out, one that they wrote themselves stays. A scan that is
    gone is left out; its row is noted, and counts again when the scan is back.
    """
    ours, inside = cells_of(found), cells_of(sheet)
    theirs = {**before.gone, **inside}
    gone = {scan: cells for scan, cells in theirs.items() if scan in before.written and scan not in ours}
    removed = {scan for scan in ours if scan in before.written and scan not in theirs}
    own = [row for row in sheet if row.scan_id not in ours and row.scan_id not in gone]
    rows, edited = [], 0
    for row in (row for row in found if row.scan_id not in removed):
        scan = row.scan_id
        edits = _edits(theirs[scan], before.written.get(scan, ours[scan])) if scan in theirs else {}
        edited += bool(edits)
        rows.append(ScanRow(**asdict(row) | edits))
    counts = {
        "row(s) that you edited stay as you wrote them": edited,
        "row(s) of your own stay": len(own),
        "scan(s) whose row you removed stay out": len(removed),
    }
    told = [f"{count} {what}" for what, count in counts.items() if count]
    if lost := sorted(gone.keys() & inside.keys()):
        told.append(f"{len(lost)} scan(s) are not in the folder any more and are left out: {', '.join(lost[:5])}")
    written = {scan: before.written[scan] for scan in gone} | ours
    return Kept([*rows, *own], written, gone, told)


def _edits(theirs: Cells, written: Cells) -> Cells:
    """The cells in which a person's row differs from what was written, those that they emptied too."""
    return {
        name: theirs.get(name, "")
        for name in COLUMNS
        if name != "scan_id" and theirs.get(name, "") != written.get(name, "")
    }
