"""A sheet that is written again keeps what a person edited in it.

`SHEET.index.json` contains the cells that the index found last time (`written`). A cell of the sheet that differs from
them was edited. So a scan that moved gets its new path, and a corrected patient_id stays.

An id alone does not say that a scan is the same: a NIfTI has its id from its name or its place below the folder, and
`case1/ct.nii.gz` of two folders are two people. So `contents` says which image had the id, and a person's cells count
for that image only. Where this is another one, nothing is written (`other_images`): what else is named by the id, such
as corrections by hand, would count for the wrong person too.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from vertegrade.cohort.sheet import COLUMNS, PATHS, ScanRow
from vertegrade.ct.nifti_file import NIFTI_NAME
from vertegrade.index.found import Found
from vertegrade.settings.base import plain_path

Cells = dict[str, str]

# What a folder says of a scan; a person fills in the other columns.
FOLDER = ("path", "series", "mask", "centroids")


class Before(NamedTuple):
    """What the index noted when it wrote the sheet, by scan.

    written: cells that it found. gone: a person's cells of scans that are not there now. contents: `Found.contents`.
    """

    written: Mapping[str, Cells]
    gone: Mapping[str, Cells]
    contents: Mapping[str, str]


class Kept(NamedTuple):
    """rows: the new sheet. written, gone, contents: what to note for the next time. told: what a person should know."""

    rows: list[ScanRow]
    written: dict[str, Cells]
    gone: dict[str, Cells]
    contents: dict[str, str]
    told: list[str]


def read_before(report: Path, sheet: Sequence[ScanRow]) -> Before:
    """What the index noted; nothing where it noted none. ValueError where the file is damaged.

    The version before noted the ids alone (`scans`). In their rows, what the folder says does not count as edited: some
    masks were of other patients. Its cells that are empty are filled in, and rows removed from it come back.
    """
    if not report.exists():
        return Before({}, {}, {})
    noted = json.loads(report.read_text(encoding="utf-8"))
    if not isinstance(noted, dict):
        raise ValueError("no report of an index")
    if "written" not in noted:
        rows = cells_of(row for row in sheet if row.scan_id in noted.get("scans", []))
        return Before({scan: {name: cells.get(name, "") for name in FOLDER} for scan, cells in rows.items()}, {}, {})
    return Before(noted["written"], noted.get("gone", {}), noted.get("contents", {}))


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


def other_images(found: Found, sheet: Sequence[ScanRow], before: Before) -> list[ScanRow]:
    """Scans whose id meant another image before, or may have: what a person wrote there must not count for them.

    Where no content was noted (by a version before, or in a row of a person's own), the same path says that it is the
    same. An image that changed in its place, and in whose row nobody edited anything, is no other one: what was damaged
    is mended so.
    """
    theirs = {**before.gone, **cells_of(sheet)}
    others = []
    for row in found.rows:
        cells, written = theirs.get(row.scan_id, {}), before.written.get(row.scan_id, {})
        places = {each["path"] for each in (cells, written) if "path" in each}
        content, noted = found.contents.get(row.scan_id, ""), before.contents.get(row.scan_id, "")
        if not places or content == noted:  # no content is that of DICOM: the id is of its SeriesInstanceUID
            continue
        here = _place(row.path) in {_place(place) for place in places}
        edited = bool(noted and cells and _edits(cells, written))
        if edited or not here:
            others.append(row)
    return others


def _place(path: str) -> str:
    """Where a scan lies, however it is named: `ct.nii` and `ct.nii.gz` of one folder are one."""
    return NIFTI_NAME.sub("", os.path.realpath(path))


def keep_edits(found: Found, sheet: Sequence[ScanRow], before: Before) -> Kept:
    """The rows that were found, with what a person edited in the sheet that was there. None are `other_images`.

    New scans are added. A row that the person removed stays out, one that they wrote themselves stays. A scan that is
    gone is left out; its row is noted, and counts again when the scan is back.
    """
    ours, inside = cells_of(found.rows), cells_of(sheet)
    theirs = {**before.gone, **inside}
    gone = {scan: cells for scan, cells in theirs.items() if scan in before.written and scan not in ours}
    missing = {scan for scan in ours if scan in before.written and scan not in theirs}
    back = {scan for scan in missing if before.contents.get(scan, "") not in ("", found.contents.get(scan, ""))}
    removed = missing - back
    own = [row for row in sheet if row.scan_id not in ours and row.scan_id not in gone]
    rows, edited = [], 0
    for row in (row for row in found.rows if row.scan_id not in removed):
        scan, cells = row.scan_id, asdict(row)
        edits = _edits(theirs[scan], before.written.get(scan, ours[scan])) if scan in theirs else {}
        edited += any(edits[name] != cells[name] for name in edits)
        rows.append(ScanRow(**cells | edits))
    counts = {
        "row(s) that you edited stay as you wrote them": edited,
        "row(s) of your own stay": len(own),
        "scan(s) whose row you removed stay out": len(removed),
    }
    told = [f"{count} {what}" for what, count in counts.items() if count]
    for what, scans in (
        ("scan(s) are not in the folder any more and are left out", gone.keys() & inside.keys()),
        ("scan(s) whose row you removed are other images now and are in the sheet again", back),
    ):
        told += [f"{len(scans)} {what}: {', '.join(sorted(scans)[:5])}"] * bool(scans)
    written = {scan: before.written[scan] for scan in gone} | ours
    contents = {scan: before.contents[scan] for scan in gone if scan in before.contents} | found.contents
    return Kept([*rows, *own], written, gone, contents, told)


def _edits(theirs: Cells, written: Cells) -> Cells:
    """The cells in which a person's row differs from what was written, those that they emptied too."""
    return {
        name: theirs.get(name, "")
        for name in COLUMNS
        if name != "scan_id" and theirs.get(name, "") != written.get(name, "")
    }
