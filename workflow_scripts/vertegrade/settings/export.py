"""Settings of the export: results as DICOM, FHIR and Slicer's markups."""

from typing import Literal

from .base import Section, setting


class ExportSettings(Section):
    """What leaves the project with the name of the patient in it. Nothing, unless you ask for it."""

    write: list[Literal["seg", "sr", "capture", "fhir", "markups"]] = setting(
        [],
        "What is written for each scan into `<run.results>-export/` (docs/how-to/export.md). `seg`: DICOM segmentation "
        "of the vertebral bodies. `sr`: DICOM structured report. `capture`: pictures as DICOM. `fhir`: a FHIR bundle. "
        "`markups`: six points for 3D Slicer. All but the last contain the patient's name as the DICOM has it.",
        reruns=False,
    )
