"""Settings of the export: results as DICOM, FHIR, Slicer's markups and label maps."""

from typing import Literal

from .base import Section, setting


class ExportSettings(Section):
    """What leaves the project, most of it with the name of the patient in it. Nothing, unless you ask for it."""

    write: list[Literal["seg", "sr", "capture", "fhir", "markups", "totalsegmentator", "spineps"]] = setting(
        [],
        "What is written for each scan into `<run.results>-export/` (docs/how-to/export.md). `seg`: DICOM segmentation "
        "of the vertebral bodies. `sr`: DICOM structured report. `capture`: pictures as DICOM. `fhir`: a FHIR bundle. "
        "`markups`: six points for 3D Slicer. `totalsegmentator`, `spineps`: a NIfTI label map of the bodies in the "
        "ids of that tool. The first four contain the patient's name as the DICOM has it, the others no patient.",
        reruns=False,
    )
