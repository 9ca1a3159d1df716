"""Label tables against themselves, the sample sheet, and the levels that the scans are known to have."""

from collections.abc import Iterable, Iterator

from vertegrade.annotations.verse import centroid_labels
from vertegrade.cohort.labels import LabelError, Labels, join_labels
from vertegrade.cohort.sheet import ScanRow
from vertegrade.cohort.sources import read_label_file
from vertegrade.levels import NAMES
from vertegrade.reasons import Refused
from vertegrade.settings import Settings


def check_labels(settings: Settings, rows: dict[int, ScanRow]) -> tuple[list[str], list[str]]:
    """All problems of the label tables, and notes on what is not a mistake by itself."""
    files = label_files(settings, rows)
    tables: dict[str, Labels] = {}
    problems: list[str] = []
    for path in sorted(files):
        try:
            tables[path] = read_label_file(path)
        except LabelError as error:
            name, *lines = str(error).split("\n")
            problems += [f"{path} {line}" for line in lines] or [name]
    if len(tables) == len(files) > 0:
        try:
            join_labels(tables.values())
        except LabelError as error:
            problems += str(error).splitlines()[1:]
    if not rows:
        return problems, []
    notes: list[str] = []
    for path, labels in tables.items():
        problems += [f"{path}{problem}" for problem in _against_sheet(labels, rows)]
    unlabelled = {row.scan_id for row in rows.values()} - _scans(tables.values())
    if files and unlabelled and not problems:
        notes.append(f"{len(unlabelled)} of {len(rows)} scans have no label")
    strangers = sorted(_scans(tables.values()) - {row.scan_id for row in rows.values()})
    if strangers and not problems:
        notes.append(
            f"labels of {len(strangers)} scans that are not in the sheet are not used ({strangers[0]!r} first)"
        )
    return problems, notes


def label_files(settings: Settings, rows: dict[int, ScanRow]) -> set[str]:
    """All label tables that config and sheet name."""
    return {row.labels for row in rows.values() if row.labels} | {settings.cohort.label_table} - {""}


def _scans(tables: Iterable[Labels]) -> set[str]:
    return {scan for labels in tables for scan in labels.table["scan_id"]}


def _against_sheet(labels: Labels, rows: dict[int, ScanRow]) -> Iterator[str]:
    """Labels whose scan has another patient in the sheet, lost its leading zeros, or has not that vertebra."""
    by_scan = {row.scan_id: (line, row) for line, row in rows.items()}
    without_zeros = {scan.lstrip("0"): scan for scan in by_scan if scan.startswith("0")}
    levels: dict[str, set[int]] = {}
    reported: set[str] = set()
    for record in labels.table[["scan_id", "patient_id", "vertebra"]].to_dict("records"):
        scan, level = str(record["scan_id"]), int(record["vertebra"])
        where = f" line {labels.lines[scan, level]}:" if (scan, level) in labels.lines else ":"
        if scan not in by_scan:
            if scan in without_zeros and scan not in reported:
                yield (
                    f"{where} scan {scan!r} is not in the sheet, {without_zeros[scan]!r} is: a spreadsheet took "
                    "the zeros away; make the column text"
                )
            reported.add(scan)
            continue
        line, row = by_scan[scan]
        if row.patient_id != record["patient_id"] and scan not in reported:
            yield (
                f"{where} scan {scan!r} belongs to patient {record['patient_id']!r} here, to {row.patient_id!r} in the "
                f"sheet (line {line}); correct one of them"
            )
            reported.add(scan)
        if row.centroids and level not in levels.setdefault(scan, _levels(row)) and levels[scan]:
            yield f"{where} {NAMES[level]} of scan {scan!r} is graded, but {row.centroids} has no {NAMES[level]}"
    if not _scans([labels]) & by_scan.keys():
        yield ": no row belongs to a scan of the sheet; compare its scan_id with the sheet's"


def _levels(row: ScanRow) -> set[int]:
    """Levels that the scan's centroids have; none where they cannot be read, which the check of the sheet reports."""
    try:
        return centroid_labels(row.centroids)
    except Refused:
        return set()
