"""Everything below a folder to a sample sheet."""

import csv
import io
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from vertegrade.cohort.sheet import COLUMNS, ScanRow, SheetError, read_sheet
from vertegrade.ct.nifti_file import NIFTI_NAME
from vertegrade.files import write_json, write_text
from vertegrade.index.found import Found
from vertegrade.index.headers import CHUNK, DicomHeader, read_folder_files, read_zips
from vertegrade.index.kept import Before, Kept, cells_of, keep_edits, other_images, read_before
from vertegrade.index.nifti import CENTROIDS, add_nifti
from vertegrade.index.pseudonyms import read_key_file, write_key_file
from vertegrade.index.series import add_series, collect
from vertegrade.settings.ct import CtSettings


class IndexingError(ValueError):
    """The sheet cannot be written; the message says why and what to do."""


def index_folder(top: Path, key: bytes, jobs: int) -> Found:
    """Rows for all CT below `top`, sorted by path. Hidden files are left out; links to folders are not followed."""
    if not top.is_dir():
        raise IndexingError(f"{top}: no such folder; give the folder that contains the scans")
    found = Found()
    files, zips, nifti = _files(top, found)
    settings = CtSettings()
    with tqdm(total=len(files) + len(zips), unit="file", desc="headers", disable=None) as bar:
        headers = [*_folder_headers(files, jobs, bar), *_zip_headers(zips, settings.max_files, jobs, bar, found)]
    series = collect(headers, found)
    add_series(series, settings.min_slices, key, found)
    add_nifti(nifti, top, key, found)
    found.rows.sort(key=lambda row: (row.path, row.series))
    return found


def write_index(top: Path, sheet: Path, key_file: Path, replace: bool, jobs: int) -> Found:
    """Write the sheet, `SHEET.index.json` (what was found and left out) and the key file.

    IndexingError: the sheet is there already and may have been edited (unless `replace`), or nothing to write.
    """
    if sheet.exists() and not replace:
        raise IndexingError(f"{sheet} is there already; give another name, or --replace (REPLACE=1) to write it again")
    found, key, links = _found(top, key_file, jobs)
    _write(found, Kept(found.rows, cells_of(found.rows), {}, found.contents, []), sheet, key_file, key, links)
    return found


def update_index(top: Path, sheet: Path, key_file: Path, jobs: int) -> tuple[Found, list[str]]:
    """`write_index` over a sheet that may be there and edited: what a person wrote into it stays (`kept`).

    Also returned is what was kept, in words. IndexingError: sheet or report cannot be read, or they are of other images
    of the same ids, or nothing to write.
    """
    edited, before = _edited(sheet)
    found, key, links = _found(top, key_file, jobs)
    if others := other_images(found, edited, before):
        raise IndexingError(
            f"{sheet}: {len(others)} scan(s) of {top} have an id that meant another image before, or may have, such as "
            f"{others[0].scan_id} ({others[0].path}); what was edited there could count for another person. For other "
            "people, name another place for the results (OUT=...). For the same scans: where they moved, give their "
            f"rows the new path; where images changed, also remove {report_of(sheet)} (rows that you removed come back)"
        )
    kept = keep_edits(found, edited, before)
    if not kept.rows:
        raise IndexingError(f"{sheet}: every scan of {top} was removed from it; remove it to have it written again")
    _write(found, kept, sheet, key_file, key, links)
    return found, kept.told


def _edited(sheet: Path) -> tuple[list[ScanRow], Before]:
    """Rows of a sheet that is there, and what was noted when it was written."""
    if not sheet.exists():
        return [], Before({}, {}, {})
    try:
        rows = read_sheet(sheet)
    except SheetError as error:
        raise IndexingError(
            f"{error}\nCorrect {sheet}, or remove it: it is then written again, without what was edited in it"
        ) from error
    try:
        return rows, read_before(report_of(sheet), rows)
    except (OSError, ValueError) as error:
        raise IndexingError(
            f"{report_of(sheet)}: cannot be read ({error}); remove it: each cell of {sheet.name} that differs from "
            "what is found then counts as edited"
        ) from error


def _found(top: Path, key_file: Path, jobs: int) -> tuple[Found, bytes, list[dict[str, str]]]:
    """What is in the folder, by the key and beside the rows of the key file."""
    key, links = read_key_file(key_file)
    found = index_folder(top, key, jobs)
    if not found.rows:
        left_out = [*found.files_left_out.items(), *found.images_left_out.items()]
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(left_out)) or "nothing else"
        raise IndexingError(
            f"{top}: no CT series or NIfTI image was found in {found.files} file(s) ({reasons}); give the folder that "
            "contains the scans"
        )
    return found, key, links


def _write(found: Found, kept: Kept, sheet: Path, key_file: Path, key: bytes, links: list[dict[str, str]]) -> None:
    """Write key file, sheet and report: in this order, so that no scan is noted that the sheet does not have yet."""
    report = found.report() | {"written": kept.written, "gone": kept.gone, "contents": kept.contents}
    write_key_file(key_file, key, [*links, *found.links])
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in kept.rows)
    write_text(sheet, text.getvalue())
    write_json(report_of(sheet), report)


def report_of(sheet: str | Path) -> Path:
    """Where the index says what it found: next to the sheet."""
    return Path(f"{Path(sheet).with_suffix('')}.index.json")


def _files(top: Path, found: Found) -> tuple[list[str], list[str], list[str]]:
    """Files that may be DICOM, zips, and NIfTI with what may be their centroids; each sorted."""
    files: list[str] = []
    zips: list[str] = []
    nifti: list[str] = []

    def unreadable(error: OSError) -> None:
        found.files += 1
        found.leave_file("unreadable", str(error.filename), "the folder cannot be read")

    for parent, folders, names in os.walk(top, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            path = os.path.join(parent, name)
            if name.startswith(".") or not os.path.isfile(path):
                continue
            if not path.isprintable():
                found.files += 1
                found.leave_file("bad_name", ascii(path))
            elif NIFTI_NAME.search(name) or CENTROIDS.search(name):
                nifti.append(path)
            else:
                (zips if name.lower().endswith(".zip") else files).append(path)
    return sorted(files), sorted(zips), sorted(nifti)


def _folder_headers(paths: list[str], jobs: int, bar: tqdm) -> Iterator[tuple[str, str, DicomHeader]]:
    for number, headers in enumerate(read_folder_files(paths, jobs)):
        bar.update(len(headers))
        for path, header in zip(paths[number * CHUNK :], headers, strict=False):
            yield os.path.dirname(path), os.path.basename(path), header


def _zip_headers(
    paths: list[str], max_files: int, jobs: int, bar: tqdm, found: Found
) -> Iterator[tuple[str, str, DicomHeader]]:
    for path, members in zip(paths, read_zips(paths, max_files, jobs), strict=True):
        bar.update(1)
        if isinstance(members, str):
            found.files += 1
            found.leave_file("zip", path, members)
            continue
        for name, header in members:
            yield path, name, header
