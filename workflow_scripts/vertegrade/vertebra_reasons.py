"""Why a vertebra has no grade, and what is doubtful of one that has: each with what it means, in one line for people.

Of whole scans: reasons.py.
"""

from typing import NamedTuple

from vertegrade.reasons import FLAGS


class VertebraReason(NamedTuple):
    """rule: where it is given. Texts of one line for people."""

    rule: str
    meaning: str
    remedy: str


VERTEBRA_REASONS: dict[str, VertebraReason] = {
    "not_graded": VertebraReason(
        "localize",
        "Its level is not among those that are graded.",
        "Change localize.first_vertebra or localize.last_vertebra.",
    ),
    "low_confidence": VertebraReason(
        "localize",
        "The learned localizer is not sure that it is a vertebra.",
        "Look at the picture of the scan; place it by localize.overrides.",
    ),
    "cut_by_scan": VertebraReason(
        "localize", "The body does not lie completely in the scan.", "Give a scan that shows all of it."
    ),
    "cut_by_scan_edge": VertebraReason(
        "localize", "Its mask touches the edge of the scan.", "Give a scan and a mask that show all of it."
    ),
    "mask_too_small": VertebraReason(
        "localize", "Its mask is too small for a vertebra of this scan.", "Correct the mask."
    ),
    "centre_outside_scan": VertebraReason(
        "localize", "Its given centre lies outside the scan.", "Correct the centroids, or give a larger scan."
    ),
    "implausible_spacing": VertebraReason(
        "localize",
        "Its distance to its neighbours cannot be right, or it does not lie below the one above.",
        "Look at the picture of the scan; correct labels or places by localize.overrides.",
    ),
    "foreign_material": VertebraReason(
        "localize, labels",
        "Its body contains metal or cement; in labels: the reader says so.",
        "None: its height no longer shows a fracture.",
    ),
    "outside_scan": VertebraReason(
        "crop",
        "Too little of it and its neighbours lies in the scan (crop.min_inside).",
        "Give a scan that shows more.",
    ),
    "folded_crop": VertebraReason(
        "crop",
        "The centreline bends so sharply that rows of the crop cross each other.",
        "Look at the picture of the scan; correct the landmarks.",
    ),
    "no_canal": VertebraReason(
        "straight_spines",
        "No spinal canal was found in its scan, so `seq2seq` cannot read the spine.",
        "Look at the scan; the other methods grade it.",
    ),
    "spine_outside_scan": VertebraReason(
        "straight_spines",
        "The bodies in front of the spinal canal lie outside its scan, so `seq2seq` cannot read the spine.",
        "Look at the scan; the other methods grade it.",
    ),
    "beyond_canal": VertebraReason(
        "straight_spines",
        "It does not lie along the spinal canal as that was found, so `seq2seq` does not see all of it.",
        "Look at the picture of the scan: either the canal or the vertebra is somewhere else.",
    ),
    "no_points": VertebraReason(
        "measure",
        "It has no six points: centroids alone were given, or its mask could not be measured.",
        "Give a mask, or points by localize.overrides.",
    ),
    "no_height": VertebraReason(
        "measure", "A column between its six points has no height.", "Correct the points by localize.overrides."
    ),
    "unlike_training": VertebraReason(
        "grade",
        "Its image or its shape is unlike the vertebrae that the model was trained on, and the grade is withheld.",
        "Look at the scan itself. `grading.novel: flag` gives the grade, which nothing supports.",
    ),
    "excluded_by_reader": VertebraReason("labels", "The reader excluded it (`x`).", "None."),
    "grade_missing": VertebraReason("labels", "Its row has no grade.", "Complete the label table."),
    "grade_borderline": VertebraReason("labels", "Its grade is 0.5, neither 0 nor 1.", "None."),
    "vertebra_incomplete": VertebraReason("labels", "The scan of a phantom cuts it.", "None."),
}

# What is doubtful of one vertebra (spine/doubt.py, grading/); it is listed with the flags of the scan.
VERTEBRA_FLAGS = {
    "uncertain_level": "Its `label_confidence` is below 0.9: it may be the level above or below, and is shown as "
    "`about T9`.",
    "doubtful_points": "The expected error of a height is a millimetre or more, and half as much again as that of the "
    "scan's other vertebrae: look at the picture of the scan before you trust what `keypoints` says.",
    "corrected": "A person added, moved or renamed it (localize.overrides).",
    "unlike_training": "Its image or its shape is more unusual than 99 % of the validation vertebrae (`novelty`): what "
    "the model says of it may be wrong, and its interval does not hold.",
    "look_at_this": "Its grade is withheld as `unlike_training`, and would be 2 or 3: look at the scan itself.",
    "methods_disagree": "The severities of two methods differ by more than one grade (`grades.csv`).",
}

# Those that question a grade. They stand wherever one is printed; an uncertain level is shown in the level's name.
DOUBTS = ("qc_doubt", "unlike_training", "methods_disagree", "doubtful_points")


def doubts_of(flags: str) -> list[str]:
    """What questions a grade, in words for a caption, from flags joined by blanks."""
    return [flag.replace("_", " ") for flag in DOUBTS if flag in flags.split()]


def vertebra_reasons_table() -> str:
    """VERTEBRA_REASONS as a table in Markdown, as docs/reference/inputs.md shows it."""
    lines = [f"| `{code}` | {why.rule} | {why.meaning} | {why.remedy} |" for code, why in VERTEBRA_REASONS.items()]
    return "\n".join(["| reason | rule | what it means | what to do |", "|---|---|---|---|", *lines]) + "\n"


def flags_table() -> str:
    """FLAGS and VERTEBRA_FLAGS as a table in Markdown, as docs/reference/inputs.md shows it."""
    lines = [
        f"| `{flag}` | {whose} | {meaning} |"
        for whose, flags in (("scan", FLAGS), ("vertebra", VERTEBRA_FLAGS))
        for flag, meaning in flags.items()
    ]
    return "\n".join(["| flag | of a | what it means |", "|---|---|---|", *lines]) + "\n"
