"""Whether the slices of a series come from one pass over the patient, which its SeriesInstanceUID does not guarantee.

Two passes, or two reconstructions, whose slices lie between each other make an even stack of a patient who jumps from
slice to slice. Headers show where acquisition, kernel, tube voltage, contrast or time alternate along the stack; where
they show nothing, the image does.
"""

from itertools import groupby

import numpy as np

from vertegrade.ct.slices import Slice
from vertegrade.reasons import Refused

# What may change from one stretch of a stack to the next (one acquisition after another), but never back.
STRETCHES = ("AcquisitionNumber", "StackID", "TemporalPositionIndex", "ConvolutionKernel", "KVP")
CONTRAST = ("ContrastBolusAgent", "ContrastBolusAgentAdministered")  # here a missing value means no
# Times that distinguish slices, the best first, and by how many seconds they may go back within a pass.
# ContentTime is when an image was made: several computers may make those of one pass, in any order.
TIMES = {"AcquisitionDateTime": 2.0, "AcquisitionTime": 2.0, "ContentTime": 30.0}
# Three stretches, each scanned the other way than the one before, turn four times.
MOST_TURNS = 4
# How much more neighbouring slices may differ than every second one does. Of thirteen real scans with slices of 1 to
# 5 mm none comes above 0.9; with every second slice moved by 6 mm none comes below 1.19.
MOST_UNLIKE = 1.1
SHOWN_HU = (-200, 1000)
PIXELS = 64  # of a row or column are looked at; fewer than half as many show nothing


def check_passes(slices: list[Slice]) -> None:
    """Refused where headers say that several passes lie between each other in slices sorted along their normal."""
    for tag in (*STRETCHES, *CONTRAST):
        found = [item.header.get(tag) for item in slices]
        values = ["" if value is None else str(value) for value in found]
        if tag in STRETCHES:  # a slice without the tag may be of any
            values = [value for value in values if value]
        kinds = len(set(values))
        if sum(1 for _ in groupby(values)) > kinds:
            raise _mixed(f"{kinds} values of {tag} alternate along the stack")
    for tag, tolerance in TIMES.items():
        times = [seconds(item.header.get(tag)) for item in slices]
        known = [time for time in times if time is not None]
        if len(known) == len(slices):
            turned = turns(known, tolerance)
            if turned > MOST_TURNS:
                raise _mixed(f"{tag} goes forth and back {turned} times along the stack")
            return


def check_alike(hu: np.ndarray, axis: int) -> None:
    """Refused where neighbouring slices (along `axis` of HU (i, j, k)) differ more than every second one does."""
    stack = np.moveaxis(hu, axis, 0)
    if min(stack.shape[1:]) < PIXELS // 2:
        return
    down, across = (max(size // PIXELS, 1) for size in stack.shape[1:])
    stack = stack[:, ::down, ::across].clip(*SHOWN_HU).astype(np.float32)
    next_one, second = (np.abs(stack[step:] - stack[:-step]).mean(dtype=np.float64) for step in (1, 2))
    if next_one > MOST_UNLIKE * second:
        raise _mixed(
            f"neighbouring slices differ by {next_one:.0f} HU on average, every second one by {second:.0f} HU only"
        )


def turns(values: list[float], tolerance: float) -> int:
    """How often a series of numbers turns from rising to falling or back, by more than `tolerance`."""
    count, rising = 0, None
    low = high = values[0]
    for value in values[1:]:
        low, high = min(low, value), max(high, value)
        if rising is not True and value - low > tolerance:
            count, rising, high = count + (rising is False), True, value
        elif rising is not False and high - value > tolerance:
            count, rising, low = count + (rising is True), False, value
    return count


def seconds(text: object) -> float | None:
    """A DICOM time (hhmmss.f) or date and time (yyyymmddhhmmss.f) in seconds of its month; None where it is none."""
    whole, _, fraction = str(text or "").partition("+")[0].partition("-")[0].strip().partition(".")
    if not whole.isdecimal() or len(whole) not in (6, 14):
        return None
    day, clock = (int(whole[6:8]), whole[8:]) if len(whole) == 14 else (0, whole)
    hours, minutes, whole_seconds = (int(clock[n : n + 2]) for n in (0, 2, 4))
    part = float(f"0.{fraction}") if fraction.isdecimal() else 0.0
    return ((day * 24 + hours) * 60 + minutes) * 60 + whole_seconds + part


def _mixed(found: str) -> Refused:
    return Refused(
        "interleaved_passes",
        f"{found}: several passes or reconstructions lie between each other; separate them and give one",
    )
