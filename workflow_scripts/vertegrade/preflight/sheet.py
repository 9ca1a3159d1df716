"""The sample sheet's rows and the files that they name."""

import os
import stat
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from vertegrade.annotations.verse import centroid_labels
from vertegrade.cohort.sheet import PATHS, ScanRow, SheetError, sheet_rows
from vertegrade.ct.archive import open_source
from vertegrade.ct.headers import series_code
from vertegrade.ct.nifti_file import NIFTI_NAME
from vertegrade.index.headers import dicom_header, nifti_header
from vertegrade.reasons import Refused
from vertegrade.settings import Settings


def check_sheet(settings: Settings) -> tuple[dict[int, ScanRow], list[str]]:
    """Rows of the sheet by line (none for phantoms) and all problems, of the rows and of what they name."""
    sheet = settings.cohort.sheet
    if not sheet:
        return {}, []
    try:
        rows, problems = sheet_rows(sheet)
    except SheetError as error:
        return {}, [str(error)]
    series: dict[str, set[str]] = {}
    for line, row in rows.items():
        problems += [f"line {line}: {problem}" for problem in _row_problems(row, settings, series)]
    problems += _twice(rows)
    lines = [f"{sheet} {problem}" for problem in problems]
    return rows, [*lines, *_key_file(settings)]


def _row_problems(row: ScanRow, settings: Settings, series: dict[str, set[str]]) -> Iterator[str]:
    """What is wrong with the files of a row; `series` keeps the codes of the series of paths that were read."""
    for column in PATHS:
        path = getattr(row, column)
        if not path or not path.isprintable():
            continue
        problem = _missing(path)
        if not problem:
            try:
                FORMS.get(column, lambda path, settings: None)(path, settings)
            except Refused as refusal:
                problem = refusal.message.removeprefix(f"{path}: ")
        if problem:
            yield f"{column} {path}: {problem}"
        elif column == "path" and row.series:
            if NIFTI_NAME.search(path):
                yield f"series {row.series}: only DICOM has series; empty the cell"
                continue
            if path not in series:
                series[path] = _series_of(path, settings)
            if row.series not in series[path]:
                yield f"series {row.series}: no CT series of this code is in {path}; write the sheet again (make index)"
    if settings.localize.method == "provided" and not (row.mask or row.centroids):
        yield "neither mask nor centroids, which localize.method = provided needs: the scan would be excluded"


def _missing(path: str) -> str:
    """Why a path cannot be read, "" where it can."""
    if not os.path.exists(path):
        kind = "a link that leads nowhere or in a circle" if os.path.islink(path) else "no such file or folder"
        return f"{kind}; write the whole path, ~ is not read" if path.startswith("~") else f"{kind}; correct the path"
    return "" if os.access(path, os.R_OK) else "may not be read by you; change its permissions"


def _check_scan(path: str, settings: Settings) -> None:
    """Refused where a folder or zip contains no DICOM, or a NIfTI has no header. The first DICOM file suffices."""
    if NIFTI_NAME.search(path):
        _check_nifti(path, settings)
    elif os.path.isdir(path) or path.endswith(".zip") or zipfile.is_zipfile(path):
        with open_source(Path(path), settings.ct.max_files) as files:
            kinds = (dicom_header(file.size, file.open).kind for file in files)
            if not any(kind in ("ct", "unreadable") for kind in kinds):
                raise Refused("no_dicom", "no DICOM file of a CT series is in it; give the folder or zip of one")
    else:
        raise Refused("unknown_format", "neither a folder, a zip nor a NIfTI (.nii, .nii.gz); give one of them")


def _check_nifti(path: str, settings: Settings) -> None:
    if nifti_header(Path(path)) is None:
        raise Refused("broken_file", "not a NIfTI in spite of its name, or damaged; copy it again")


def _check_centroids(path: str, settings: Settings) -> None:
    centroid_labels(path)


FORMS: dict[str, Callable[[str, Settings], None]] = {
    "path": _check_scan,
    "mask": _check_nifti,
    "centroids": _check_centroids,
}


def _series_of(path: str, settings: Settings) -> set[str]:
    """Codes of the CT series of a folder or zip, which `_check_scan` has found to be one."""
    with open_source(Path(path), settings.ct.max_files) as files:
        headers = [dicom_header(file.size, file.open) for file in files]
    return {series_code(header.text("SeriesInstanceUID")) for header in headers if header.kind == "ct"}


def _twice(rows: dict[int, ScanRow]) -> Iterator[str]:
    """Scans that are in the sheet under two ids."""
    first: dict[tuple[str, str], int] = {}
    for line, row in rows.items():
        if row.path:
            key = (os.path.realpath(row.path), row.series)
            if key in first:
                yield f"line {line}: path {row.path} is that of line {first[key]}; keep one of the rows"
            first.setdefault(key, line)


def _key_file(settings: Settings) -> Iterator[str]:
    """The key file that the index wrote next to the sheet is private, and no output."""
    path = Path(settings.cohort.sheet).with_suffix(".key.tsv")
    if not path.is_file():
        return
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        yield f"{path}: others may read the key of the pseudonyms; chmod 600 it"
    for folder in filter(None, (settings.run.results, settings.run.logs)):
        if path.resolve().is_relative_to(Path(folder).resolve()):
            yield f"{path}: the key of the pseudonyms lies in {folder}, among the outputs; move it and the sheet"
