"""All that is exported of one scan, as files in a folder of its own."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from vertegrade.cohort.sheet import ScanRow
from vertegrade.export.about import Maker
from vertegrade.export.capture import captures_of, strip_picture, summary_picture
from vertegrade.export.fhir import bundle_of
from vertegrade.export.findings import curves_found, findings_of
from vertegrade.export.label_maps import write_label_maps
from vertegrade.export.lines import grade_lines
from vertegrade.export.markups import markups_of
from vertegrade.export.report import report_of
from vertegrade.export.seg import segmentation_of
from vertegrade.export.source import NotExported, place_of, read_source, silent
from vertegrade.export.strips import DrawnStrips
from vertegrade.files import write_json
from vertegrade.plotting import Pixels
from vertegrade.settings.ct import CtSettings

UNEXPECTED = "an error of the program"
DICOM = {"seg", "sr", "capture", "fhir"}  # kinds that need the patient's study


@dataclass(frozen=True)
class Wanted:
    """What is exported: kinds, least grade that is called a fracture, and how DICOM is read."""

    kinds: frozenset[str]
    fracture_grade: int
    ct: CtSettings


class Missing(NamedTuple):
    """What is not in the export of a scan, or not as in its source; each "" where all is well.

    dicom: why none of DICOM and FHIR was written. labels: which vertebrae are not in the label maps, and why. tags:
    which tags of the source had to be changed, and how. error: type and place of one that the program did not expect.
    """

    dicom: str = ""
    labels: str = ""
    tags: str = ""
    error: str = ""


# How scans.tsv calls the fields of Missing.
COLUMNS = ("why_no_dicom", "not_in_label_maps", "tags_changed", "error")


def export_scan(
    row: ScanRow,
    scan: dict[str, Any],
    folder: Path,
    wanted: Wanted,
    maker: Maker,
    volume: Path,
    picture: Path | None,
    strips: DrawnStrips,
) -> Missing:
    """Write the files of a scan into `folder`; return what is missing.

    scan: of a patient's record. volume: the converted one. picture: of the localization, None where there is none. An
    error that the program did not expect is this scan's alone: whoever calls tells of it and goes on. Errors of memory
    and files are raised.
    """
    if scan["state"] != "done":
        return Missing(f"the scan is {scan['state']}: {scan['reason']}")
    folder.mkdir()
    missing = Missing(labels=UNEXPECTED)
    try:
        with silent():
            missing = Missing(labels=_write_without_patient(row, scan, folder, wanted, maker, volume))
            if wanted.kinds & DICOM:
                tags = _write_dicom(row, scan, folder, wanted, maker, picture, strips)
                missing = missing._replace(tags="; ".join(tags))
    except NotExported as why:
        return missing._replace(dicom=str(why))
    except (MemoryError, OSError):  # of the machine: they say nothing of the scan
        raise
    except Exception as error:  # the text of an error may quote a header
        for file in [*folder.glob("*.dcm"), *folder.glob("fhir.json")]:
            file.unlink()  # half of an export is none
        return missing._replace(dicom=UNEXPECTED if wanted.kinds & DICOM else "", error=place_of(error))
    return missing


def _write_without_patient(
    row: ScanRow, scan: dict[str, Any], folder: Path, wanted: Wanted, maker: Maker, volume: Path
) -> str:
    """Write what has no patient and needs no study; what the label maps lack."""
    findings = findings_of(scan, maker.method, wanted.fracture_grade, "")
    if "markups" in wanted.kinds:
        write_json(folder / "points.mrk.json", markups_of(findings))
    return write_label_maps(findings, wanted.kinds, Path(row.path), volume, folder)


def _write_dicom(
    row: ScanRow,
    scan: dict[str, Any],
    folder: Path,
    wanted: Wanted,
    maker: Maker,
    picture: Path | None,
    strips: DrawnStrips,
) -> tuple[str, ...]:
    """Write what names the patient; which tags of the source had to be changed."""
    source = read_source(row, wanted.ct)
    series_uid = str(source.first.SeriesInstanceUID)
    findings = findings_of(scan, maker.method, wanted.fracture_grade, series_uid)
    if not findings:
        raise NotExported("no vertebra of it was looked at")
    groups = [*findings, *curves_found(scan, series_uid)]
    bodies = segmentation_of(findings, source, maker) if "seg" in wanted.kinds else None
    if bodies is not None:
        bodies[0].save_as(folder / "seg.dcm")
    if "sr" in wanted.kinds:
        report_of(groups, source, maker, bodies).save_as(folder / "sr.dcm")
    if "fhir" in wanted.kinds:
        write_json(folder / "fhir.json", bundle_of(groups, source, maker), sort_keys=False)
    if "capture" in wanted.kinds:
        pictures = list(_pictures(row.scan_id, scan, maker.method, picture, strips))
        for name, dataset in captures_of(pictures, source, maker):
            dataset.save_as(folder / f"{name}.dcm")
    return source.changed


def _pictures(
    scan_id: str, scan: dict[str, Any], method: str, picture: Path | None, strips: DrawnStrips
) -> Iterator[tuple[str, str, Pixels]]:
    if picture is not None:
        with Image.open(picture) as image:
            pixels = np.asarray(image.convert("RGB"))
        yield (
            "summary",
            "Vertebrae that were found, and their grades",
            summary_picture(pixels, grade_lines(scan, method)),
        )
    for level, images, rows in strips.of_scan(scan_id):
        shows = f"SYNTHETIC pictures of {level} at other grades, drawn by a model"
        yield f"synthetic-{level}", shows, strip_picture(images, rows, level, strips.window)
