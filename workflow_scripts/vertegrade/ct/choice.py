"""Which series of a study is read where several could be, by one rule that is recorded with the scan."""

import re

import numpy as np

from vertegrade.ct.slices import Slice
from vertegrade.reasons import Notes, Refused

RULE = "original before derived, axial before other planes, thinnest slices, {kernel} kernel, most slices"
AXIAL = 0.7  # cosine of the largest angle (45 degrees) between the slices' normal and the patient's long axis
SHARP_NAMES = re.compile(r"BONE|LUNG|EDGE|ULTRA|SHARP|DETAIL|CHST")
SHARP_PHILIPS = ("D", "E", "L", "Y", "YA", "YB", "YC", "YD", "YE")
SIEMENS = re.compile(r"[A-Z][A-Z]?(\d\d)[A-Z]?")  # B30f, Br60d, J70h: the number grows with sharpness
CANON = re.compile(r"FC(\d\d)")


def kernel_kind(kernel: str) -> str:
    """ "bone" (sharp), "soft", or "" where the name does not say; names as the vendors' own manuals order them."""
    name = kernel.upper().split("/")[0].strip()
    if SHARP_NAMES.search(name) or name in SHARP_PHILIPS:
        return "bone"
    if match := CANON.fullmatch(name):
        return "bone" if 30 <= int(match[1]) < 60 or int(match[1]) >= 80 else "soft"
    if match := SIEMENS.fullmatch(name):
        return "bone" if int(match[1]) >= 50 else "soft"
    return "soft" if name in ("STANDARD", "SOFT", "A", "B", "C", "SB") else ""


def choose_series(series: list[list[Slice]], kernel: str, notes: Notes) -> list[Slice]:
    """The best of several series of one study by RULE; what each is like is in `notes.choice`, the chosen one first.

    Refused where the series belong to more than one study: only the sample sheet can say which examination is meant.
    """
    if len({str(item.header.get("StudyInstanceUID", "")) for group in series for item in group}) > 1:
        raise Refused("several_series", "the series belong to more than one study; give each examination a folder")
    ranked = sorted(series, key=lambda group: (_rank(group, kernel), str(group[0].header.get("SeriesInstanceUID"))))
    notes.choice = [_description(group) for group in ranked]
    notes.flags.add("chosen_series")
    notes.warnings.append(f"chosen of {len(series)} series: {RULE.format(kernel=kernel)}")
    return ranked[0]


def _rank(group: list[Slice], kernel: str) -> tuple[bool, bool, float, bool, int]:
    """Sorts the best series first. Thickness counts in steps of 0.1 mm, so that rounding does not decide.

    Steps end at 0.09 mm, where no usual thickness is: 1.25 and 3.75 mm would lie on the edge between rounded values.
    """
    about = _description(group)
    thickness = about["thickness_mm"]
    thick = float(np.floor(float(thickness) * 10 + 0.1)) if thickness is not None else np.inf
    return not about["original"], not about["axial"], thick, about["kernel"] != kernel, -len(group)


def _description(group: list[Slice]) -> dict[str, bool | int | float | str | None]:
    """What the rule looks at, as plain values of the series' first slice. It contains no text of the header."""
    first = group[0]
    row, column = np.split(first.numbers("ImageOrientationPatient", 6), 2)
    kernel = first.header.get("ConvolutionKernel") or ""
    thickness = float(first.numbers("SliceThickness", 1)[0]) if first.header.get("SliceThickness") else None
    return {
        "slices": len(group),
        "thickness_mm": thickness,
        "kernel": kernel_kind(kernel if isinstance(kernel, str) else str(kernel[0])),
        "original": "DERIVED" not in first.kinds(),
        "axial": bool(abs(np.cross(row, column)[2]) >= AXIAL),
    }
