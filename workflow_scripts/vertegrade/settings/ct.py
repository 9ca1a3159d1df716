"""Settings of the conversion of CT to a canonical volume."""

from typing import Literal

from .base import Section, setting


class CtSettings(Section):
    """What a scan must be like to be accepted."""

    min_slices: int = setting(
        10,
        "Series with fewer slices are ignored if there is a longer one. Otherwise the scan is excluded.",
        "slices",
        ge=2,
    )
    max_slice_thickness_mm: float = setting(
        5.0,
        "A scan with thicker or wider spaced slices is excluded: heights of vertebrae cannot be measured.",
        "mm",
        gt=0,
    )
    flag_slice_thickness_mm: float = setting(
        3.0, "A scan with thicker or wider spaced slices is flagged `thick_slices` in every table.", "mm", gt=0
    )
    max_voxels: int = setting(
        1_000_000_000, "Larger volumes (by their header) are refused before anything is read.", "voxels", gt=0
    )
    max_files: int = setting(
        20_000, "Folders and zips with more files are refused: more than any CT study has.", "files", gt=0
    )
    resample_tilt: bool = setting(
        False, "Read DICOM series with gantry tilt by resampling them to a straight stack, flagged `resampled_tilt`."
    )
    resample_spacing: bool = setting(
        False,
        "Read DICOM series with uneven spacing or missing slices by resampling them, flagged `resampled_spacing`; "
        "gaps count as slice thickness.",
    )
    choose_series: Literal["no", "soft", "bone"] = setting(
        "no",
        "Where several series of a study lie together: refuse them, or choose one, flagged `chosen_series`. The order "
        "is: original before derived, axial before other planes, thinnest slices, this kernel, most slices. The "
        "sidecar lists the choice.",
    )
    scan_seconds: int = setting(
        1800, "Reading a scan stops after this time, and the scan fails: a decoder may hang.", "seconds", gt=0
    )
    memory_mb: int = setting(
        3500,
        "A scan that needs more memory than this to be read fails. It needs 1.4 times the volume (2 bytes per voxel), "
        "1.6 times where the file is multi-frame and compressed, and 2.5 times for a multi-frame file in a zip. The "
        "job asks for 500 MB more.",
        "MB",
        ge=200,
    )
