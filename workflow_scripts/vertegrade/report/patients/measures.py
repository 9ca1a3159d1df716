"""Trabecular HU, discs, slips and curves of a scan, in the words and rows of the patient's page."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vertegrade.level_texts import level_text
from vertegrade.report.patients.words import spans
from vertegrade.report.plain_words import reason_text
from vertegrade.tables import HEIGHTS

NOT_MEASURED = "not_measured"
NO_HU = {
    "contrast": "A contrast agent was given, which makes bone brighter.",
    "metal": "There is metal or cement in the scan, which changes HU around it.",
    "multi_energy": "The images are spectral, and their HU are not those of a plain CT.",
    "clipped": "The brightest values of the scan are cut off.",
    "too_flat": "The body is too flat for a core away from its endplates.",
    "unlike_training": "The vertebra is unlike those that the model was trained on.",
}
NO_DISC = "The next vertebra was not found or not measured, or one of the two has no six points."
HU_NOTES = {"contrast_unknown": "whether contrast was given is not known"}
# Name of each curve, and why it may not have been measured.
CURVES = {
    "kyphosis": ("Thoracic kyphosis, T4 to T12", "T4 and T12 are not both there with six points"),
    "lordosis": ("Lumbar lordosis, L1 to L5", "L1 and L5 are not both there with six points"),
    "scoliosis": ("Scoliosis, by the curve through the centres", "fewer than six vertebrae in a row"),
}


@dataclass(frozen=True)
class Row:
    """One vertebra. Values with their errors, `5.1 ± 0.8`; "" where there is none. discs: by HEIGHTS."""

    level: str
    hu: str
    discs: tuple[str, ...]
    slip: str


@dataclass(frozen=True)
class Measured:
    """What a page shows of a scan. hu_note: what to know of all its HU, "" for nothing.

    missing: levels, what they lack, and why. curves: names, and angles or why not.
    """

    rows: list[Row]
    hu_note: str
    missing: list[tuple[str, str, str]]
    curves: list[tuple[str, str]]


def measured_of(scan: Mapping[str, Any]) -> Measured:
    """From a scan of a patient's record (`records.patient`), so that the page withholds what the record withholds."""
    vertebrae = scan["vertebrae"]
    rows = [_row(vertebra) for vertebra in vertebrae]
    return Measured(
        rows=[row for row in rows if row.hu or row.slip],
        hu_note="; ".join(HU_NOTES[note] for note in sorted({each["trabecular_hu_note"] for each in vertebrae} - {""})),
        missing=list(_missing(vertebrae)),
        curves=[
            (name, _with_error(scan[curve], 1, "°") if scan[curve] else f"not measured: {why}")
            for curve, (name, why) in CURVES.items()
        ],
    )


def _row(vertebra: Mapping[str, Any]) -> Row:
    confidence = vertebra["label_confidence"]
    disc = vertebra["disc_below"] or {}
    return Row(
        level=level_text(vertebra["vertebra"], 1.0 if confidence is None else confidence),
        hu=_with_error(vertebra["trabecular_hu"], 0),
        discs=tuple(_with_error(disc.get(name), 1) for name in HEIGHTS),
        slip=_with_error(vertebra["slip"], 1),
    )


def _missing(vertebrae: list[dict[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """Levels, what they lack, and why: neighbours with the same reason together."""
    lacking: dict[str, list[int]] = {}
    for vertebra in vertebrae:
        if vertebra["trabecular_hu_reason"]:
            lacking.setdefault(vertebra["trabecular_hu_reason"], []).append(vertebra["vertebra"])
    whole = lacking.pop(NOT_MEASURED, [])
    for reason, labels in lacking.items():
        yield spans(labels), "no HU", NO_HU.get(reason) or reason_text(reason)
    without = [each["vertebra"] for each in vertebrae if not each["disc_below"] and each["vertebra"] not in whole]
    if without:
        yield spans(without), "no disc below and no slip", NO_DISC
    if whole:
        yield spans(whole), "nothing of this", "Their place or their points are in doubt, so they were not measured."


def _with_error(measured: Mapping[str, Any] | None, decimals: int, unit: str = "") -> str:
    """`−1.3 ± 0.8`, without an error where that is unknown; "" for nothing."""
    if measured is None:
        return ""
    value = round(measured["value"], decimals) + 0.0  # + 0.0: never -0.0
    text = f"{value:.{decimals}f}".replace("-", "−")
    return f"{text}{unit}" + ("" if measured["error"] is None else f" ± {measured['error']:.{decimals}f}{unit}")
