"""What an export says of a scan, as numbers and codes: SR and FHIR write the same list, so they cannot differ.

It is made of a patient's record (`records.patient`) alone, so a measure that the record withholds is not in it. Nor is
a withheld grade, nor what would give it away: such a vertebra is `not evaluable`, with the reason and the heights that
were measured.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from vertegrade.arrays import Floats
from vertegrade.export.codes import CodeRow, code, note_code, severity_code, vertebra_code
from vertegrade.tables import HEIGHTS, POINTS

DECIMALS = 4
CURVES = {"kyphosis": "thoracic-spine", "lordosis": "lumbar-spine", "scoliosis": "spine"}  # and where each is


@dataclass(frozen=True)
class Number:
    """A measured value: concept and unit by their names in codes.csv. part: of the body or disc, by its name, or ""."""

    concept: str
    value: float
    unit: str
    part: str = ""


@dataclass(frozen=True)
class Coded:
    """An evaluation: a concept by its name in codes.csv, and the code that it has."""

    concept: str
    value: CodeRow


@dataclass(frozen=True, eq=False)
class Group:
    """All that is said of one place: a vertebra, or a curve of the spine. topic: its name in codes.csv.

    tracking_id, tracking_uid: the same in every file of an export, and of the next export of the same scan.
    """

    topic: str
    site: CodeRow
    tracking_id: str
    tracking_uid: str
    numbers: tuple[Number, ...]
    coded: tuple[Coded, ...]


@dataclass(frozen=True, eq=False)
class Finding(Group):
    """All that is said of one vertebra. points_mm: (6, 3) RAS in the order of tables.POINTS, None where unknown."""

    level: str
    vertebra: int
    evaluable: bool
    points_mm: Floats | None


def findings_of(scan: dict[str, Any], method: str, fracture_grade: int, series_uid: str) -> list[Finding]:
    """One finding per vertebra of a scan of a record that a method looked at, from head to feet.

    fracture_grade: least grade that is called a fracture. series_uid: of the source series.
    """
    return [
        _finding(vertebra, vertebra["methods"][method], fracture_grade, series_uid)
        for vertebra in scan["vertebrae"]
        if method in vertebra["methods"]
    ]


def curves_found(scan: dict[str, Any], series_uid: str) -> list[Group]:
    """One group per curve of the spine whose angle was measured. series_uid: of the source series."""
    return [
        Group(
            topic=name,
            site=code(site),
            tracking_id=code(name).meaning,
            tracking_uid=uid_of("vertegrade/track", series_uid, name),
            numbers=tuple(_with_error("cobb-angle", scan[name], "degree")),
            coded=(),
        )
        for name, site in CURVES.items()
        if scan[name] is not None
    ]


def uid_of(*parts: str) -> str:
    """A UID under the root of UUIDs (2.25) that follows from the texts alone."""
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return f"2.25.{10**37 + int.from_bytes(digest[:16], 'big') % (9 * 10**37)}"


def _finding(vertebra: dict[str, Any], graded: dict[str, Any], fracture_grade: int, series_uid: str) -> Finding:
    level, points = vertebra["level"], vertebra["points_mm"]
    evaluable = bool(graded["evaluable"])
    coded = _grade(graded, fracture_grade) if evaluable else _not_evaluable(graded["reason"])
    return Finding(
        topic="assessment",
        level=level,
        vertebra=vertebra["vertebra"],
        site=vertebra_code(level),
        tracking_id=f"{level} vertebral body",
        tracking_uid=uid_of("vertegrade/track", series_uid, level),
        evaluable=evaluable,
        numbers=tuple(_numbers(vertebra, graded, evaluable)),
        coded=(*coded, *_of_attenuation(vertebra), *(Coded("flag", note_code(flag)) for flag in vertebra["flags"])),
        points_mm=None if points is None else np.array([points[name] for name in POINTS], dtype=np.float64),
    )


def _grade(graded: dict[str, Any], fracture_grade: int) -> list[Coded]:
    grade = int(graded["grade"])
    found = [Coded("compression-fracture", code("present" if grade >= fracture_grade else "absent"))]
    found.append(Coded("genant", code(f"genant-{grade}")))
    severity = severity_code(grade)
    return [*found, Coded("severity", severity)] if severity else found


def _not_evaluable(reason: str) -> list[Coded]:
    found = [Coded("compression-fracture", code("not-evaluable"))]
    return [*found, Coded("why-not", note_code(reason))] if reason else found


def _of_attenuation(vertebra: dict[str, Any]) -> list[Coded]:
    """Why no HU are given, or what is to be known of them."""
    reason, note = vertebra["trabecular_hu_reason"], vertebra["trabecular_hu_note"]
    if reason:
        return [Coded("no-attenuation", note_code(reason))]
    return [Coded("attenuation-note", code(note.replace("_", "-")))] if note else []


def _numbers(vertebra: dict[str, Any], graded: dict[str, Any], evaluable: bool) -> Iterator[Number]:
    """What was measured, wherever it was; losses, which imply a grade, and grades only where there is one."""
    for column in HEIGHTS:
        height = (vertebra["heights"] or {}).get(column)
        if height is None:
            continue
        yield from _known("height", height["mm"], "mm", column)
        yield from _known("height-sd", height["sd_mm"], "mm", column)
        if evaluable:
            yield from _known("height-intact", height["intact_mm"], "mm", column)
            yield from _known("height-loss", _percent(height["loss"]), "percent", column)
    if evaluable:
        yield from _known("largest-loss", _percent(vertebra["height_loss"]), "percent")
        yield from _known("severity-scale", graded["severity"], "grade-unit")
        yield from _known("severity-low", graded["severity_low"], "grade-unit")
        yield from _known("severity-high", graded["severity_high"], "grade-unit")
        yield from _known("probability", graded["p_fracture"], "one")
    yield from _beside(vertebra)
    yield from _known("novelty", graded["novelty"], "one")
    yield from _known("level-confidence", vertebra["label_confidence"], "one")


def _beside(vertebra: dict[str, Any]) -> Iterator[Number]:
    """Trabecular HU, the disc below and the slip on the next vertebra, as far as the record has them."""
    yield from _with_error("attenuation", vertebra["trabecular_hu"], "hu", "core")
    for column in HEIGHTS:
        yield from _with_error("disc-height", (vertebra["disc_below"] or {}).get(column), "mm", column)
    yield from _with_error("slip", vertebra["slip"], "mm")


def _with_error(concept: str, measured: dict[str, Any] | None, unit: str, part: str = "") -> Iterator[Number]:
    if measured is not None:
        yield from _known(concept, measured["value"], unit, part)
        yield from _known(f"{concept}-sd", measured["error"], unit, part)


def _known(concept: str, value: float | None, unit: str, part: str = "") -> Iterator[Number]:
    if value is not None:
        yield Number(concept, round(float(value), DECIMALS) + 0.0, unit, part)


def _percent(loss: float | None) -> float | None:
    return None if loss is None else 100 * loss
