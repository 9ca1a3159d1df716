"""Why a scan was not converted or localized: one table of codes, and the exception that carries one."""

from typing import Literal

State = Literal["excluded", "failed"]

# Code: (state, one line for people). excluded = a legal scan that cannot be used here; failed = something is broken.
REASONS: dict[str, tuple[State, str]] = {
    "path_missing": ("failed", "The path of the sample sheet does not exist or cannot be read."),
    "unknown_format": ("failed", "The path is neither a folder, a zip nor a NIfTI file."),
    "unsafe_archive": ("failed", "The zip has members that must not be unpacked, or is far larger than it looks."),
    "broken_archive": ("failed", "The zip is damaged or encrypted."),
    "too_many_files": ("failed", "The folder or zip has more files than a CT series can have."),
    "no_dicom": ("failed", "No file of the folder or zip is DICOM."),
    "broken_file": ("failed", "A DICOM or NIfTI file is empty, cut short or damaged."),
    "not_ct": ("excluded", "The images are not CT slices (another modality, screenshots, reports, scouts)."),
    "enhanced_ct": ("excluded", "Multi-frame (enhanced) CT; only one file a slice is read."),
    "several_patients": ("failed", "The files belong to more than one patient."),
    "several_series": ("excluded", "More than one CT series has enough slices."),
    "too_few_slices": ("excluded", "Fewer slices than ct.min_slices."),
    "missing_tag": ("failed", "A slice lacks a DICOM tag that position or HU depend on."),
    "bad_tag": ("failed", "A DICOM tag that position or HU depend on has an impossible value."),
    "not_hu": ("excluded", "The rescaled values are not Hounsfield units."),
    "inconsistent_slices": ("excluded", "Slices of one series differ in size, pixel spacing or orientation."),
    "conflicting_duplicates": ("failed", "Two slices at one position have different pixels."),
    "missing_slices": ("failed", "Slices are missing inside the stack."),
    "uneven_spacing": ("excluded", "The distance between slices varies."),
    "gantry_tilt": ("excluded", "The slices are stacked at an angle to their normal (gantry tilt, shear)."),
    "thick_slices": ("excluded", "Slices are thicker or further apart than ct.max_slice_thickness_mm."),
    "too_large": ("failed", "The header promises more voxels than ct.max_voxels."),
    "missing_pixels": ("failed", "A slice has no pixel data."),
    "bad_pixels": ("failed", "The pixel data of a slice cannot be decoded or are cut short."),
    "hu_out_of_range": ("failed", "Values do not fit the Hounsfield range of int16."),
    "implausible_hu": ("failed", "The values cannot be Hounsfield units of a body."),
    "not_3d": ("excluded", "The NIfTI is not one 3-D image of plain numbers."),
    "no_orientation": ("excluded", "The NIfTI does not say how its voxels lie in the patient."),
    "conflicting_orientation": ("excluded", "qform and sform of the NIfTI put its voxels in different places."),
    "bad_affine": ("failed", "The affine of the NIfTI is singular, not finite or has an impossible voxel size."),
    "not_finite": ("failed", "The NIfTI has NaN or infinite values."),
    "no_landmarks": ("excluded", "The sample sheet names neither centroids nor a mask for the scan."),
    "no_spine": ("excluded", "The learned localizer finds no spine in the scan, or too little of one."),
    "no_vertebrae": ("excluded", "The centroids or the mask hold no vertebra."),
    "centroids_unreadable": ("failed", "The centroids are missing or not in VerSe's or TPTBox's format."),
    "centroids_other_grid": ("failed", "The centroids count voxels of another image than the scan."),
    "centroids_outside_scan": ("failed", "No centroid lies in the scan."),
    "mask_unreadable": ("failed", "The mask is missing, damaged or no NIfTI."),
    "mask_other_grid": ("failed", "The mask does not lie on the scan's voxels."),
    "mask_not_labels": ("failed", "The mask holds fractions instead of labels."),
    "points_unusable": ("failed", "The six points are missing, not in MosMed's layout or of another image."),
    "annotation_misfit": ("failed", "The bodies of an annotation lie outside the scan or at impossible distances."),
    "nothing_to_learn": ("excluded", "Fewer than two neighbouring bodies of an annotation are known."),
    "unknown_label": ("failed", "A label of the centroids or the mask is no VerSe vertebra."),
    "duplicate_label": ("failed", "A vertebra has two centroids."),
    "overrides_misfit": ("failed", "A hand-made correction does not fit the vertebrae that were found in the scan."),
    "tool_missing": ("failed", "The segmentation tool that localize.method names is not installed."),
    "tool_failed": ("failed", "The segmentation tool failed, took too long or wrote no mask."),
    "unexpected_error": ("failed", "An error that conversion does not know; a fault of the program or of the file."),
}


class Refused(Exception):
    """A scan that is not converted. The message names the scan's own file, what is wrong and what to do.

    It must not carry what a DICOM header says of the person: numbers and tag names are fine, header texts are not.
    """

    def __init__(self, reason: str, message: str) -> None:
        self.state: State = REASONS[reason][0]
        self.reason = reason
        self.message = message
        super().__init__(f"{reason}: {message}")
