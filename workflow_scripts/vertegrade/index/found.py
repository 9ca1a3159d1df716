"""What the index found: rows of a sheet, and for everything else why it is not a row. The counts reconcile."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from vertegrade.cohort.sheet import ScanRow

# Files that are no CT image, and images (a DICOM series, a NIfTI) that become no row of the sheet: code and meaning.
FILE_REASONS = {
    "annotation": "mask or centroids of a scan, or a candidate for one",
    "not_dicom": "neither DICOM, NIfTI nor a zip",
    "not_ct": "DICOM other than CT images (other modality, report, screenshot)",
    "localizer": "localizer (scout) image",
    "dicomdir": "DICOMDIR, which is not needed",
    "empty": "empty file",
    "unreadable": "damaged, or cannot be read",
    "zip": "zip that is not opened: damaged, encrypted, unsafe or with too many files",
    "bad_name": "name with line breaks or other control characters, or not in UTF-8",
}
IMAGE_REASONS = {
    "too_few_slices": "fewer slices than ct.min_slices",
    "several_patients": "slices of more than one PatientID in one series",
    "scattered": "slices in more than one zip: unpack them into one folder",
    "copy": "the same images lie in another folder or zip, which is taken",
    "not_ct_values": "NIfTI of bytes or colours: a mask or picture, not CT",
    "not_ct_name": "NIfTI whose BIDS suffix is not `ct`",
    "not_3d": "NIfTI that is not one 3-D image",
    "derivative": "NIfTI in a `derivatives` folder: made from a scan, not one",
    "same_name": "another image of the same name (subject and scan), which is taken: releases that overlap",
}


@dataclass
class Found:
    """files: all that were found. slices: how many of them are CT images. images: series and NIfTI images made of them.

    left_out: place, code and a line for people, of each image and each broken file that is not in the sheet. links: a
    row of the key file for each DICOM scan. contents: by scan, what tells its image from others that may have its id in
    another folder; none for DICOM, whose id is of the SeriesInstanceUID. notes: what a person should know or do.
    """

    files: int = 0
    slices: int = 0
    images: int = 0
    rows: list[ScanRow] = field(default_factory=list)
    files_left_out: Counter[str] = field(default_factory=Counter)
    images_left_out: Counter[str] = field(default_factory=Counter)
    left_out: list[dict[str, str]] = field(default_factory=list)
    links: list[dict[str, str]] = field(default_factory=list)
    contents: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def leave_file(self, reason: str, place: str = "", message: str = "") -> None:
        """Count a file that is no CT image; those with a place are listed too."""
        self.files_left_out[reason] += 1
        if place:
            self.left_out.append({"path": place, "reason": reason, "message": message or FILE_REASONS[reason]})

    def leave_image(self, reason: str, place: str, message: str = "") -> None:
        """Count and list a series or NIfTI that becomes no row."""
        self.images_left_out[reason] += 1
        self.left_out.append({"path": place, "reason": reason, "message": message or IMAGE_REASONS[reason]})

    def report(self) -> dict[str, Any]:
        """Plain values for `SHEET.index.json`; ValueError where the counts do not add up."""
        if self.files != self.slices + self.files_left_out.total():
            raise ValueError(f"{self.files} files are not {self.slices} and {dict(self.files_left_out)}")
        if self.images != len(self.rows) + self.images_left_out.total():
            raise ValueError(f"{self.images} images are not {len(self.rows)} and {dict(self.images_left_out)}")
        return {
            "files": {"found": self.files, "left_out": dict(self.files_left_out), "ct": self.slices},
            "images": {"found": self.images, "left_out": dict(self.images_left_out), "scans": len(self.rows)},
            "scans": sorted(row.scan_id for row in self.rows),
            "left_out": sorted(self.left_out, key=lambda item: (item["path"], item["reason"])),
            "notes": self.notes,
        }
