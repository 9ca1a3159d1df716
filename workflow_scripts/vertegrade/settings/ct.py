"""Settings of the conversion of CT to a canonical volume."""

from .base import Section, setting


class CtSettings(Section):
    """What a scan must be like to be accepted."""

    min_slices: int = setting(
        10,
        "Series with fewer slices are ignored beside a longer one, and excluded if there is none.",
        "slices",
        ge=2,
    )
    max_slice_thickness_mm: float = setting(
        5.0, "Thicker or wider spaced slices and the scan is excluded: heights of vertebrae cannot be read.", "mm", gt=0
    )
    max_voxels: int = setting(
        1_000_000_000, "Larger volumes (by their header) are refused before anything is read.", "voxels", gt=0
    )
    max_files: int = setting(
        20_000, "Folders and zips with more files are refused: more than any CT study has.", "files", gt=0
    )
