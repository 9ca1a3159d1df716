"""Why a scan was left out, and what is doubtful of one that was not: codes, and classes for them."""

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

State = Literal["excluded", "failed"]


class Reason(NamedTuple):
    """excluded = a legal scan that cannot be used here; failed = something is broken. Texts of one line for people."""

    state: State
    meaning: str
    remedy: str


REASONS: dict[str, Reason] = {
    "path_missing": Reason(
        "failed",
        "The path of the sample sheet does not exist or cannot be read.",
        "Correct the path in the sample sheet, or its permissions.",
    ),
    "unknown_format": Reason(
        "failed",
        "The path is neither a folder, a zip nor a NIfTI file.",
        "Give a folder of DICOM files, a zip of one, or a NIfTI.",
    ),
    "unsafe_archive": Reason(
        "failed",
        "The zip has members that must not be unpacked, or is far larger than it looks.",
        "Unpack it yourself if it is what it should be, and give the folder.",
    ),
    "broken_archive": Reason(
        "failed", "The zip is damaged or encrypted.", "Copy or pack it again; unpack an encrypted one."
    ),
    "too_many_files": Reason(
        "failed",
        "The folder or zip has more files than a CT series can have.",
        "Give the folder of one series, or raise ct.max_files.",
    ),
    "no_dicom": Reason(
        "failed",
        "No file of the folder or zip is DICOM.",
        "Give the folder of a CT series; files need their 128-byte preamble, and zips in a zip are not opened.",
    ),
    "broken_file": Reason("failed", "A DICOM or NIfTI file is empty, cut short or damaged.", "Copy the files again."),
    "not_ct": Reason(
        "excluded",
        "The images are not CT slices (another modality, screenshots, reports, scouts).",
        "Give the CT series itself.",
    ),
    "projection": Reason(
        "excluded",
        "Intensity projections (MIP, MinIP) of slabs, not slices.",
        "Give the slices that they were made from.",
    ),
    "burned_in": Reason(
        "excluded",
        "Text is burned into the pixels (BurnedInAnnotation is YES).",
        "Give the series without it; the text may also name the patient.",
    ),
    "several_patients": Reason("failed", "The files belong to more than one patient.", "Give each patient a folder."),
    "several_series": Reason(
        "excluded", "More than one CT series has enough slices.", "Give one series, or set ct.choose_series."
    ),
    "series_missing": Reason(
        "failed",
        "The series that the sample sheet names is not in the folder or zip.",
        "Correct the column `series` of the sample sheet, or write the sheet again by `make index`.",
    ),
    "too_few_slices": Reason(
        "excluded", "Fewer slices than ct.min_slices.", "Give the whole series, or lower ct.min_slices."
    ),
    "missing_tag": Reason(
        "failed",
        "A slice lacks a DICOM tag that position or HU depend on.",
        "Export the series again, without an anonymiser that strips geometry.",
    ),
    "bad_tag": Reason(
        "failed", "A DICOM tag that position or HU depend on has an impossible value.", "Export the series again."
    ),
    "not_hu": Reason(
        "excluded", "The rescaled values are not Hounsfield units.", "Give the HU series of the same examination."
    ),
    "inconsistent_slices": Reason(
        "excluded",
        "Slices of one series differ in size, pixel spacing or orientation.",
        "Give the files of one reconstruction.",
    ),
    "conflicting_duplicates": Reason(
        "failed",
        "Two slices at one position have different pixels.",
        "Separate the phases or reconstructions and give one.",
    ),
    "interleaved_passes": Reason(
        "excluded",
        "Slices of several passes or reconstructions (acquisition, kernel, time, contrast) lie between each other.",
        "Separate the files by AcquisitionNumber, kernel, time or contrast and give one; make a new NIfTI of one.",
    ),
    "missing_slices": Reason(
        "failed",
        "Slices are missing inside the stack.",
        "Copy the series again, or set ct.resample_spacing to bridge the gap.",
    ),
    "uneven_spacing": Reason(
        "excluded", "The distance between slices varies.", "Give an even reconstruction, or set ct.resample_spacing."
    ),
    "gantry_tilt": Reason(
        "excluded",
        "The slices are stacked at an angle to their normal (gantry tilt, shear).",
        "Give a straight reconstruction, or set ct.resample_tilt (DICOM only).",
    ),
    "thick_slices": Reason(
        "excluded",
        "Slices are thicker or further apart than ct.max_slice_thickness_mm.",
        "Give a thinner reconstruction, or raise ct.max_slice_thickness_mm.",
    ),
    "too_large": Reason(
        "failed",
        "The header announces more voxels than ct.max_voxels.",
        "Export the series again, crop it, or raise ct.max_voxels.",
    ),
    "missing_pixels": Reason("failed", "A slice has no pixel data.", "Export the series again, with pixels."),
    "bad_pixels": Reason(
        "failed", "The pixel data of a slice cannot be decoded or are cut short.", "Copy or export the series again."
    ),
    "no_decoder": Reason(
        "failed",
        "The pixels are compressed by a method that no installed decoder reads.",
        "Install the locked packages, or export the series uncompressed.",
    ),
    "lost_slices": Reason(
        "failed", "The volume has not as many slices as were read.", "Please report it; a fault of the program."
    ),
    "hu_out_of_range": Reason(
        "failed",
        "Values do not fit the Hounsfield range of int16.",
        "Check RescaleSlope and RescaleIntercept, or scl_slope of a NIfTI.",
    ),
    "implausible_hu": Reason(
        "failed", "The values cannot be Hounsfield units of a body.", "Give the CT itself, with its rescale intercept."
    ),
    "clipped_hu": Reason(
        "excluded",
        "Values end within tissue: the image was windowed for a display or clipped for a network.",
        "Give the CT itself, with all its Hounsfield units.",
    ),
    "not_3d": Reason("excluded", "The NIfTI is not one 3-D image of plain numbers.", "Give one 3-D volume of numbers."),
    "no_orientation": Reason(
        "excluded",
        "The NIfTI does not say how its voxels lie in the patient.",
        "Restore qform and sform from the DICOM files.",
    ),
    "conflicting_orientation": Reason(
        "excluded", "qform and sform of the NIfTI put its voxels in different places.", "Set both to the true one."
    ),
    "bad_affine": Reason(
        "failed",
        "The affine is singular, not finite, contradicts the source or has an impossible voxel size.",
        "Restore the header from the DICOM files.",
    ),
    "not_finite": Reason("failed", "The NIfTI has NaN or infinite values.", "Fill them with -1024."),
    "no_landmarks": Reason(
        "excluded",
        "The sample sheet names neither centroids nor a mask for the scan.",
        "Name centroids or a mask in the sample sheet, or use another localize.method.",
    ),
    "no_spine": Reason(
        "excluded",
        "The learned localizer finds no spine in the scan, or too little of one.",
        "Look at the scan; add landmarks by localize.overrides.",
    ),
    "no_canal": Reason(
        "excluded",
        "No spinal canal, or too little of one, is seen in the scan. It is left out by seq2seq alone.",
        "Look at the scan; the other methods grade its vertebrae.",
    ),
    "spine_outside_scan": Reason(
        "excluded",
        "The bodies in front of the spinal canal lie outside the scan. It is left out by seq2seq alone.",
        "Look at the scan; the other methods grade its vertebrae.",
    ),
    "no_vertebrae": Reason(
        "excluded", "The centroids or the mask contain no vertebra.", "Give the right centroids or mask."
    ),
    "centroids_unreadable": Reason(
        "failed",
        "The centroids are missing or not in VerSe's or TPTBox's format.",
        "Correct the path, or convert them to VerSe's JSON.",
    ),
    "centroids_other_grid": Reason(
        "failed", "The centroids count voxels of another image than the scan.", "Give the centroids of this scan."
    ),
    "centroids_outside_scan": Reason(
        "failed", "No centroid lies in the scan.", "Give the centroids of this scan; check their orientation."
    ),
    "mask_unreadable": Reason(
        "failed", "The mask is missing, damaged or no NIfTI.", "Correct the path, or copy the mask again."
    ),
    "mask_other_grid": Reason(
        "failed", "The mask does not lie on the scan's voxels.", "Resample the mask to the scan (nearest neighbour)."
    ),
    "mask_not_labels": Reason(
        "failed",
        "The mask contains fractions instead of labels.",
        "Give the label mask, not probabilities; resample by nearest neighbour.",
    ),
    "points_unusable": Reason(
        "failed",
        "The six points are missing, not in MosMed's layout or of another image.",
        "Correct the path, or give the points of this scan.",
    ),
    "annotation_misfit": Reason(
        "failed",
        "The bodies of an annotation lie outside the scan or at impossible distances.",
        "Give the annotation of this scan; correct its labels.",
    ),
    "nothing_to_learn": Reason(
        "excluded",
        "Fewer than two neighbouring bodies of an annotation are known.",
        "Complete the annotation, or leave it out.",
    ),
    "unknown_label": Reason(
        "failed",
        "A label of the centroids or the mask is no VerSe vertebra.",
        "Map the labels to VerSe's, or set localize.mask_labels (docs/reference/inputs.md).",
    ),
    "duplicate_label": Reason("failed", "A vertebra has two centroids.", "Correct the centroids."),
    "overrides_misfit": Reason(
        "failed",
        "A hand-made correction does not fit the vertebrae that were found in the scan.",
        "Correct the row of localize.overrides.",
    ),
    "orientation_contradicts_image": Reason(
        "failed",
        "The image shows front and back, or head and feet, exchanged compared with its header.",
        "Restore the orientation from the DICOM files; an array turned to LPS needs an LPS affine.",
    ),
    "landmarks_contradict_image": Reason(
        "failed",
        "The given landmarks cannot be the vertebrae of the image: no bodies are there, or order, distances or names "
        "are impossible.",
        "Give the landmarks of this scan in VerSe's labels; check their unit, voxel grid and orientation.",
    ),
    "qc_fail": Reason(
        "excluded",
        "A person marked the scan as failed in quality control.",
        "None is needed; to use it all the same, change its mark in the table of cohort.qc.",
    ),
    "tool_missing": Reason(
        "failed",
        "The segmentation tool that localize.method names is not installed.",
        "Install it, or choose another localize.method.",
    ),
    "tool_failed": Reason(
        "failed",
        "The segmentation tool failed, took too long or wrote no mask.",
        "Read the rule's log; raise localize.tool_minutes, or choose another method.",
    ),
    "conversion_crashed": Reason(
        "failed",
        "The process that reads the scan ended by a crash, as decoders of damaged pixels may.",
        "Copy or export the series again, uncompressed.",
    ),
    "took_too_long": Reason(
        "failed", "Reading took longer than ct.scan_seconds.", "Look at the files; raise ct.scan_seconds."
    ),
    "too_much_memory": Reason(
        "failed", "Reading needed more memory than ct.memory_mb.", "Look at the files; raise ct.memory_mb."
    ),
    "unexpected_error": Reason(
        "failed",
        "An error that conversion does not know; a fault of the program or of the file.",
        "Please report it with the type of scan.",
    ),
    "nothing_to_collapse": Reason(
        "excluded",
        "No virtual fracture can be made in it: no vertebra is intact and has both neighbours in the scan.",
        "None is needed: the scan itself is graded.",
    ),
    "not_challenged": Reason(
        "excluded",
        "No virtual fracture is made in it, since its patient is not of the test split, and only those are challenged.",
        "None is needed: the scan itself is graded.",
    ),
}


# What is doubtful of a scan that is converted nevertheless; every later table contains it.
FLAGS = {
    "resampled_tilt": "The slices were tilted and have been resampled to a straight stack (ct.resample_tilt).",
    "resampled_spacing": "The slices lay unevenly and have been resampled to even ones (ct.resample_spacing).",
    "chosen_series": "One of several series, chosen by the rule of ct.choose_series.",
    "thick_slices": "Slices are thicker or further apart than ct.flag_slice_thickness_mm.",
    "ends_missing": "By the header's own counts, slices are missing at an end.",
    "joined": "Each file had different UIDs, as some anonymisers write them: joined by what else the files say.",
    "derived": "The images were reformatted or otherwise derived (ImageType).",
    "lossy": "The images were once compressed with loss.",
    "contrast": "A contrast agent was given.",
    "multi_energy": "Spectral CT: mono-energetic or otherwise combined images.",
    "metal": "More than a cubic centimetre is brighter than bone can be: metal or cement.",
    "unplaced_vertebra": "A vertebra of the given centroids has no position (NaN): it is left out, the others are not.",
    "clipped": "Values end where those of metal continue (3071 HU, where 12 bits end, or elsewhere): metal is cut off.",
    "qc_doubt": "A person doubts the scan, or what was found in it (cohort.qc).",
    "filled": "A value that air cannot have was filled in outside of the scan; it was taken as outside (-1024 HU).",
}


@dataclass
class Notes:
    """What reading notes of a scan: warnings for people, flags of FLAGS, and the choice among series."""

    warnings: list[str] = field(default_factory=list)
    flags: set[str] = field(default_factory=set)
    choice: list[dict[str, Any]] = field(default_factory=list)


class Refused(Exception):
    """A scan that is not converted. The message names the scan's own file, what is wrong and what to do.

    It must not contain what a DICOM header says of the person: numbers and tag names are fine, header texts are not.
    """

    def __init__(self, reason: str, message: str) -> None:
        self.state: State = REASONS[reason].state
        self.reason = reason
        self.message = message
        super().__init__(f"{reason}: {message}")


def reasons_table() -> str:
    """REASONS as a table in Markdown, as docs/reference/inputs.md shows it."""
    lines = [f"| `{code}` | {about.state} | {about.meaning} | {about.remedy} |" for code, about in REASONS.items()]
    return "\n".join(["| reason | state | what it means | what to do |", "|---|---|---|---|", *lines]) + "\n"
