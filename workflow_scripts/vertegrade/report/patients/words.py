"""What was found, in the words of a radiological report: levels, `vertebral fracture`, grade, bone integrity.

A report on the spine is to say whether bone is intact, use the term vertebral fracture, name level and grade, and say
what could not be evaluated. Nothing here was read by a person: the pages say so.
"""

from collections.abc import Collection, Iterable

from vertegrade.levels import NAMES, craniocaudal_rank
from vertegrade.report.patients.findings import Height, Patient, Scan, Vertebra
from vertegrade.report.plain_words import joined, plural, reason_text, remedy_text
from vertegrade.report.severities import interval_text

GRADE_WORDS = ("no vertebral fracture", "mild", "moderate", "severe")
# Levels that not everybody has: that they were not found says nothing.
RARE = ("T13", "L6")


def finding(vertebra: Vertebra, least: int) -> str:
    """A vertebra in one line: `L1: severe wedge fracture, grade 3 (2.6 to 3.0), anterior height 16 mm, ...`.

    least: grade from which on it is called a fracture.
    """
    if vertebra.grade is None:
        if vertebra.look:
            return (
                f"{vertebra.level}: not evaluable by the program, but it may be a moderate or severe vertebral "
                "fracture: look at the scan itself"
            )
        return f"{vertebra.level}: not evaluable. {reason_text(vertebra.reason)}"
    parts = [f"{vertebra.level}: {grade_text(vertebra, least)}", f"grade {vertebra.grade} ({interval(vertebra)})"]
    return ", ".join([*parts, *([height_text(worst_height(vertebra))] if vertebra.heights else [])])


def grade_text(vertebra: Vertebra, least: int) -> str:
    """`severe wedge fracture`; what is below the run's limit is called a loss of height."""
    if not vertebra.grade:
        return GRADE_WORDS[0]
    kind = "fracture" if vertebra.grade >= least else "loss of height, below this run's limit of a fracture"
    return " ".join(filter(None, (GRADE_WORDS[vertebra.grade], vertebra.shape, kind)))


def interval(vertebra: Vertebra) -> str:
    """The interval of the severity."""
    return interval_text(vertebra.severity_low, vertebra.severity_high)


def worst_height(vertebra: Vertebra) -> Height:
    """The height that lost most."""
    return max(vertebra.heights, key=lambda height: height.loss)


def height_text(height: Height) -> str:
    """`anterior height 16 mm, 43 % below expected`."""
    below = round(100 * height.loss)
    return f"{height.column} height {height.mm:.0f} mm, {f'{below} % below' if below > 0 else 'not below'} expected"


def told_of(patient: Patient, least: int) -> tuple[Scan, Vertebra] | None:
    """The vertebra that the headline is about, with its scan; None where it is about none."""
    return patient.found[0] if patient.fractured(least) or patient.looks else None


def headline(patient: Patient, least: int) -> str:
    """The worst finding of a patient."""
    about = told_of(patient, least)
    if about:
        scan, worst = about
        where = f" (scan {scan.id})" if len(patient.scans) > 1 else ""
        return f"{finding(worst, least)}{where}"
    if patient.graded:
        levels = [vertebra.label for _, vertebra in patient.graded]
        return f"No vertebral fracture in {plural(len(set(levels)), 'evaluable vertebra')}, {spans(levels)}"
    if patient.found:
        return f"Not evaluable. None of the vertebrae that were found has a grade ({len(patient.found)})."
    return f"Not evaluable. {reason_text(patient.scans[0].reason) or 'No vertebra was found that is graded.'}"


def bone_integrity(patient: Patient, least: int) -> str:
    """A sentence on whether bone is intact, by what the program says of it."""
    fractured = patient.fractured(least)
    if fractured:
        several = len(patient.scans) > 1
        named = [
            f"{vertebra.level} (grade {vertebra.grade}, {GRADE_WORDS[vertebra.grade or 0]}"
            f"{f', scan {scan.id}' if several else ''})"
            for scan, vertebra in sorted(fractured, key=lambda pair: craniocaudal_rank(pair[1].label))
        ]
        return f"Vertebral fracture{'s' if len(named) > 1 else ''} of {joined(named)}."
    if patient.graded:
        return f"No vertebral fracture of {spans([vertebra.label for _, vertebra in patient.graded])}."
    return "Not evaluable: no vertebra has a grade."


def patient_limit(patient: Patient, least: int) -> str:
    """What the limit of patients says, and whether the grades of the vertebrae say otherwise; "" for nothing."""
    if patient.called is None:
        return ""
    text = "fracture." if patient.called else "no fracture."
    return f"{text} This differs from the grades of the vertebrae." if patient.differs(least) else text


def not_evaluable(patient: Patient) -> list[str]:
    """Levels without a grade by reason: `T4: The body does not lie completely in the scan.`"""
    by_reason = _by_reason(vertebra for _, vertebra in patient.found)
    return [f"{levels}: {reason_text(reason)}" for reason, levels in by_reason.items()]


def left_out(scan: Scan) -> list[tuple[str, str, str]]:
    """The same of one scan: levels, why, and what to do ("" for nothing)."""
    return [
        (levels, reason_text(reason), "" if remedy_text(reason) == "None." else remedy_text(reason))
        for reason, levels in _by_reason(scan.vertebrae).items()
    ]


def _by_reason(vertebrae: Iterable[Vertebra]) -> dict[str, str]:
    """Levels of those without a grade by reason."""
    labels: dict[str, list[int]] = {}
    for vertebra in vertebrae:
        if not vertebra.evaluable:
            labels.setdefault(vertebra.reason, []).append(vertebra.label)
    return {reason: spans(its) for reason, its in sorted(labels.items())}


def not_found(patient: Patient, graded: Collection[int]) -> str:
    """Levels that are graded in this run (VerSe labels) and were found in no scan; "" where none is done."""
    if not any(scan.state == "done" for scan in patient.scans):
        return ""
    found = {vertebra.label for _, vertebra in patient.found}
    return spans([label for label in graded if label not in found and NAMES[label] not in RARE])


def spans(labels: Iterable[int]) -> str:
    """Levels from head to feet, neighbours together: `T5–T12, L2`."""
    ordered = sorted(set(labels), key=craniocaudal_rank)
    parts: list[list[int]] = []
    for label in ordered:
        if parts and craniocaudal_rank(label) - craniocaudal_rank(parts[-1][-1]) <= 1:
            parts[-1].append(label)
        else:
            parts.append([label])
    return ", ".join(NAMES[part[0]] if len(part) == 1 else f"{NAMES[part[0]]}–{NAMES[part[-1]]}" for part in parts)
