"""The page of a patient and the page of all patients, as HTML.

Each is one self-contained file: images are data URIs, styles and the one script are in the file, and a content security
policy lets the browser load nothing and run nothing else. All texts pass through jinja2's autoescape. No path and no
message of a scan is on a page, since both may name a person; what went wrong is told by its code (reasons.py).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from vertegrade.cohort.qc import MARKS
from vertegrade.evaluation.texts import estimate_text
from vertegrade.levels import NAMES, craniocaudal_rank
from vertegrade.methods import BASELINES, METHODS
from vertegrade.plotting import NOTICE
from vertegrade.report.model_card import LABELS, SCANS
from vertegrade.report.montage import GRADE_COLOURS
from vertegrade.report.patients import words
from vertegrade.report.patients.findings import Patient, Scan, Vertebra
from vertegrade.report.patients.follow_up import Comparison
from vertegrade.report.patients.measures import measured_of
from vertegrade.report.patients.pictures import Pictures
from vertegrade.report.patients.spine import Overlay, overlay
from vertegrade.report.plain_words import flag_meaning, flag_text
from vertegrade.report.severities import severity_text
from vertegrade.report.sorting.script import sort_script
from vertegrade.report.templates import PHANTOM_FACT, content_policy, templates
from vertegrade.tables import HEIGHTS
from vertegrade.vertebra_reasons import doubts_of

HERE = Path(__file__).parent
# Whom a model learned from, and whom its test figures are of.
WHOSE = {
    "phantoms": ("phantoms", "phantoms"),
    "people": ("patients", "patients"),
    "mixed": ("phantoms and patients", "phantoms wherever only these had labels"),
}
# Ways to choose among patients on the page of all, and their names there.
TAGS = {
    "fracture": "with a vertebra graded as a fracture",
    "differs": "whose patient limit says otherwise",
    "look": "with a vertebra to look at",
    "none": "without any grade",
    "out": "with a scan left out",
    "flag": "with a flag",
}


@dataclass(frozen=True)
class About:
    """What the pages tell beside the findings.

    own: whether the cohort trained the model. card: the model's card, None where there is none. strips: metrics.json of
    the pictures at other grades. notes: on the model. phantom: whether the scans are phantoms. methods: names, the
    first is the one that the findings are of. graded: VerSe labels that grades are asked of. fracture_grade: the least
    grade of a fracture. coverage: of the intervals. recommendation: what follows from a fracture, "" to say nothing.
    """

    own: bool
    card: Mapping[str, Any] | None
    strips: Mapping[str, Any]
    notes: Sequence[str]
    phantom: bool
    methods: Sequence[str]
    graded: Sequence[int]
    fracture_grade: int
    coverage: float
    recommendation: str


def graded_levels(first: int, last: int) -> list[int]:
    """VerSe labels from the first to the last that is graded, from head to feet."""
    low, high = craniocaudal_rank(first), craniocaudal_rank(last)
    return sorted((label for label in NAMES if low <= craniocaudal_rank(label) <= high), key=craniocaudal_rank)


def patient_page(
    patient: Patient,
    landmarks: pd.DataFrame,
    pictures: Pictures,
    about: About,
    compared: Sequence[Comparison] = (),
    record: Mapping[str, Any] | None = None,
) -> str:
    """The page of one patient.

    landmarks: LANDMARKS, at least those of the patient's scans. compared: these, each with an earlier one. record: the
    patient's (`records.patient`), for what was measured beside the heights; None to show nothing of it.
    """
    measured = {scan["scan_id"]: measured_of(scan) for scan in record["scans"]} if record else {}
    scans = [
        _scan(n, scan, landmarks, pictures, about) | {"measured": measured.get(scan.id)}
        for n, scan in enumerate(patient.scans)
    ]
    told = words.told_of(patient, about.fracture_grade)
    fractured = bool(patient.fractured(about.fracture_grade))
    return _template("patient.html.j2").render(
        **_shared(about, []),
        patient=patient,
        headline=words.headline(patient, about.fracture_grade),
        alarm="fracture" if fractured else "look" if patient.looks else "",
        doubts=doubts_of(" ".join(told[1].flags)) if told else [],
        limit=words.patient_limit(patient, about.fracture_grade),
        integrity=words.bone_integrity(patient, about.fracture_grade),
        others=[
            (scan.id, words.finding(vertebra, about.fracture_grade))
            for scan, vertebra in patient.found
            # the headline asks for a look at its own one, unless that has a grade
            if vertebra.look and not (told and vertebra is told[1] and vertebra.grade is None)
        ],
        not_evaluable=words.not_evaluable(patient),
        not_found=words.not_found(patient, about.graded),
        p_fracture="" if math.isnan(patient.p_fracture) else f"{patient.p_fracture:.2f}",
        recommendation=about.recommendation if fractured else "",
        graded=len(patient.graded),
        scans=scans,
        compared=compared,
        others_named=[METHODS[name].label for name in about.methods[1:]],
        meanings=_meanings(patient),
    )


def index_page(patients: Sequence[Patient], about: About, pictures: Pictures) -> str:
    """The page of all patients, in their order."""
    script = sort_script() + (HERE / "index.js").read_text(encoding="utf-8")
    scans = [scan for patient in patients for scan in patient.scans]
    vertebrae = [vertebra for scan in scans for vertebra in scan.vertebrae]
    return _template("index.html.j2").render(
        **_shared(about, [script]),
        script=script,
        rows=[_row(patient, about) for patient in patients],
        counts={state: sum(scan.state == state for scan in scans) for state in ("done", "excluded", "failed")},
        scans=len(scans),
        found=len(vertebrae),
        graded=sum(vertebra.evaluable for vertebra in vertebrae),
        fractured=sum(bool(patient.fractured(about.fracture_grade)) for patient in patients),
        limited=any(patient.called is not None for patient in patients),
        called=sum(bool(patient.called) for patient in patients),
        tags=TAGS,
        marks=MARKS,
        drawn=[(of.id, f"s{n}-{vertebra.name}", vertebra.level) for of, n, vertebra in drawn_of(patients, pictures)],
    )


@cache
def _template(name: str) -> Any:
    return templates(HERE).get_template(name)


def _shared(about: About, scripts: Iterable[str]) -> dict[str, Any]:
    """What both templates ask for. scripts: those that the page may run."""
    return {
        "notice": NOTICE,
        "phantom_fact": PHANTOM_FACT if about.phantom else "",
        "about": about,
        "main": METHODS[about.methods[0]].label if about.methods else "",
        "model": _model(about.card) if about.card else None,
        "words": words,
        "colours": GRADE_COLOURS,
        "columns": HEIGHTS,
        "coverage": f"{100 * about.coverage:g}",
        "policy": content_policy(scripts),
    }


def _scan(n: int, scan: Scan, landmarks: pd.DataFrame, pictures: Pictures, about: About) -> dict[str, Any]:
    """What a patient's page shows of one scan, the n-th of the patient."""
    rows = sorted(scan.vertebrae, key=lambda vertebra: -vertebra.urgency)
    strips = {vertebra.name: pictures.strip(scan.id, vertebra) for vertebra in rows if vertebra.suspicious}
    return {
        "n": n,
        "about": scan,
        "flags": [(flag, flag_text(flag), flag_meaning(flag)) for flag in scan.flags],
        "spine": pictures.spine(scan.id),
        "overlay": _overlay(scan, landmarks, pictures),
        "rows": [_vertebra(scan, vertebra, pictures, about) for vertebra in rows],
        "strips": {name: strip for name, strip in strips.items() if strip},
        "not_drawn": [vertebra.level for vertebra in rows if vertebra.name in strips and not strips[vertebra.name]],
        "left_out": words.left_out(scan),
        "levels": {vertebra.name: vertebra.level for vertebra in rows},
    }


def _overlay(scan: Scan, landmarks: pd.DataFrame, pictures: Pictures) -> Overlay | None:
    its, place = landmarks[landmarks["scan_id"] == scan.id], pictures.spines.get(scan.id)
    if its.empty or place is None:
        return None
    return overlay(place, its, {vertebra.label: vertebra for vertebra in scan.vertebrae})


def _vertebra(scan: Scan, vertebra: Vertebra, pictures: Pictures, about: About) -> dict[str, Any]:
    """A row of a patient's page."""
    confidence = vertebra.label_confidence
    return {
        "about": vertebra,
        "crop": pictures.crop(scan.id, vertebra.label),
        "grade": words.grade_text(vertebra, about.fracture_grade),
        "severity": severity_text(vertebra.severity),
        "p_fracture": _number(vertebra.p_fracture, 2),
        "heights": [(f"{height.mm:.1f}", _against(height.loss)) for height in vertebra.heights],
        "others": [(METHODS[name].label, other) for name in about.methods[1:] if (other := _other(vertebra, name))],
        "novelty": _number(vertebra.novelty, 2),
        "confidence": "given" if math.isnan(confidence) else f"{confidence:.2f}",
        # those of the scan stand above the table, once
        "flags": [(flag, flag_text(flag)) for flag in vertebra.flags if flag not in scan.flags],
        "why": words.reason_text(vertebra.reason) if vertebra.reason else "",
    }


def _other(vertebra: Vertebra, method: str) -> str:
    grade, severity = vertebra.others.get(method, (None, math.nan))
    return "" if grade is None else f"{grade} ({severity_text(severity)})"


def _number(value: float, decimals: int) -> str:
    return "" if math.isnan(value) else f"{value:.{decimals}f}"


def _against(loss: float) -> str:
    """A loss as change against what is expected: `−43 %`."""
    change = round(-100 * loss)
    return f"{'−' if change < 0 else '+' if change > 0 else ''}{abs(change)} %"


def _meanings(patient: Patient) -> dict[str, tuple[str, str]]:
    """The flags on a patient's page: in a few words, and in a sentence."""
    used = {flag for scan in patient.scans for flag in scan.flags}
    used |= {flag for _, vertebra in patient.found for flag in vertebra.flags}
    return {flag: (flag_text(flag), flag_meaning(flag)) for flag in sorted(used)}


def drawn_of(patients: Sequence[Patient], pictures: Pictures) -> list[tuple[Patient, int, Vertebra]]:
    """Suspicious vertebrae that were drawn at other grades: patient, which of its scans, vertebra."""
    drawn = set(zip(pictures.strips["scan_id"], pictures.strips["vertebra"], strict=True))
    return [
        (patient, n, vertebra)
        for patient in patients
        for n, scan in enumerate(patient.scans)
        for vertebra in scan.vertebrae
        if vertebra.suspicious and (scan.id, vertebra.label) in drawn
    ]


def _row(patient: Patient, about: About) -> dict[str, Any]:
    """A row of the page of all patients."""
    fractured = patient.fractured(about.fracture_grade)
    flags = sorted(
        {flag for scan in patient.scans for flag in scan.flags}
        | {flag for _, vertebra in patient.found for flag in vertebra.flags}
    )
    out = [scan for scan in patient.scans if scan.state != "done"]
    differs = patient.differs(about.fracture_grade)
    tags = {
        "fracture": fractured,
        "differs": differs,
        "look": patient.looks,
        "none": not patient.graded,
        "out": out,
        "flag": flags,
    }
    told = words.told_of(patient, about.fracture_grade)
    return {
        "patient": patient,
        "tags": " ".join(name for name, has in tags.items() if has),
        "state": _state(patient),
        "grade": told[1].grade if told else None,
        "headline": words.headline(patient, about.fracture_grade),
        "urgency": f"{patient.found[0][1].urgency if patient.found else -2:.2f}",
        "fractured": len(fractured),
        "limit": "" if patient.called is None else "fracture" if patient.called else "no fracture",
        "differs": differs,
        "looks": len(patient.looks),
        "graded": len(patient.graded),
        "found": len(patient.found),
        "flags": [flag_text(flag) for flag in flags],
    }


def _state(patient: Patient) -> str:
    states = [scan.state for scan in patient.scans]
    if len(set(states)) == 1:
        return states[0]
    return ", ".join(f"{states.count(state)} {state}" for state in ("done", "excluded", "failed") if state in states)


def _model(card: Mapping[str, Any]) -> dict[str, Any]:
    """What the pages tell of a model's card."""
    taught_by, tested_on = WHOSE[card["taught_by"]["scans"]]
    return {
        "name": card["name"],
        "scans": SCANS[card["taught_by"]["scans"]],
        "labels": LABELS[card["taught_by"]["labels"]],
        "taught_by": taught_by,
        "tested_on": tested_on,
        "patients": card["training"]["patients"],
        "vertebrae": card["training"]["vertebrae"],
        "aucs": {
            METHODS[name].label: f"{estimate_text(test['auc'])}, {test['vertebrae_evaluated']} vertebrae"
            for name, test in card["test"].items()
            if name not in BASELINES
        },
        "limits": card["limits"],
        "licence": card["licence"],
    }
