"""The page of the scans: what became of each, what was found in it, each vertebra's grade, and why one has none.

One self-contained HTML file. Images are data URIs and nothing is loaded from anywhere. No path and no message of a
scan is on it, since both may name a person; what went wrong is told by its code (reasons.py).
"""

import base64
import io
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from vertegrade.evaluation.texts import estimate_text
from vertegrade.grading.grades import grade_table
from vertegrade.level_texts import level_text
from vertegrade.levels import craniocaudal_rank
from vertegrade.methods import BASELINES, METHODS
from vertegrade.plotting import NOTICE, grey_values
from vertegrade.reasons import FLAGS, REASONS
from vertegrade.report.cohort_page import PHANTOM_FACT, data_uri
from vertegrade.report.model_card import LABELS, SCANS
from vertegrade.report.montage import GRADE_COLOURS, with_doubts
from vertegrade.report.templates import templates
from vertegrade.settings.report import ReportSettings
from vertegrade.tables import KEY, doubt_of
from vertegrade.vertebra_reasons import VERTEBRA_FLAGS, VERTEBRA_REASONS

GRADE_WORDS = ["no fracture", "mild", "moderate", "severe"]
# Whom a model learned from, and whom its test figures are of.
WHOSE = {
    "phantoms": ("phantoms", "phantoms"),
    "people": ("patients", "patients"),
    "mixed": ("phantoms and patients", "phantoms wherever only these had labels"),
}
# Scans with pictures, those of the highest grades; more would make a file that no browser opens.
PICTURED = 100


@dataclass(frozen=True)
class About:
    """What the page tells beside the scans.

    model: folder of the model, "" where the cohort trained it. card: its model card, None where the folder has none.
    strips: metrics.json of the pictures at other grades.
    notes: on the model. phantom: whether the scans are phantoms. sheet: the sample sheet.
    """

    model: str
    card: dict[str, Any] | None
    strips: dict[str, Any]
    notes: list[str]
    phantom: bool
    sheet: str


def side_by_side(predictions: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """PREDICTIONS of the first method, head to feet, with columns grade_NAME and severity_NAME of the other ones.

    Flags are those of GRADE_TABLE: they say too where methods disagree.
    """
    main, *others = predictions
    table = with_doubts(predictions[main].assign(**doubt_of(predictions[main])), grade_table(predictions))
    for method in others:
        its = predictions[method][[*KEY, "grade", "severity"]]
        named = its.rename(columns={name: f"{name}_{method}" for name in ("grade", "severity")})
        table = table.merge(named, on=KEY, how="left", validate="one_to_one")
    return table.sort_values("vertebra", key=lambda labels: labels.map(craniocaudal_rank), kind="stable")


def pictured_scans(scans: pd.DataFrame, grades: pd.DataFrame) -> set[str]:
    """Ids of the scans that are shown with pictures, of SCANS that are done and their grades (`side_by_side`)."""
    done = sorted(scans.loc[scans["state"] == "done", "scan_id"])
    worst = grades.groupby("scan_id")["severity"].max().reindex(done).fillna(-1.0)
    return set(worst.sort_values(ascending=False, kind="stable").index[:PICTURED])


def scans_page(
    scans: pd.DataFrame,
    grades: pd.DataFrame,
    pictures: Mapping[str, Path],
    crops: Mapping[tuple[str, int], np.ndarray],
    strips: Path,
    about: About,
    settings: ReportSettings,
) -> str:
    """The page as HTML.

    scans: SCANS after localization. grades: `side_by_side` of the methods. pictures: of localization, by scan. crops:
    mid-sagittal HU (H, W) by scan and vertebra. strips: the picture of vertebrae at other grades. A scan or vertebra
    without a picture is told by words alone.
    """
    shown = [
        _scan(scan, grades[grades["scan_id"] == scan["scan_id"]], pictures, crops, settings)
        for scan in scans.sort_values(["patient_id", "scan_id"]).to_dict("records")
    ]
    return (
        templates()
        .get_template("scans_page.html.j2")
        .render(
            notice=NOTICE,
            phantom_fact=PHANTOM_FACT if about.phantom else "",
            about=about,
            scans=shown,
            counts={state: int((scans["state"] == state).sum()) for state in ("done", "excluded", "failed")},
            patients=scans["patient_id"].nunique(),
            graded=int(grades["evaluable"].sum()),
            found=len(grades),
            others=[METHODS[name].label for name in _other_methods(grades)],
            main=METHODS[grades["method"].iloc[0]].label if len(grades) else "",
            words=_words_used(grades),
            model=_model(about.card) if about.card else None,
            pictured=PICTURED,
            strips=data_uri(strips),
        )
    )


def _other_methods(columns: Iterable[Any]) -> list[str]:
    """The methods beside the main one that columns of `side_by_side` are of."""
    return [name for name in METHODS if f"grade_{name}" in set(columns)]


def _scan(
    scan: Mapping[Any, Any],
    grades: pd.DataFrame,
    pictures: Mapping[str, Path],
    crops: Mapping[tuple[str, int], np.ndarray],
    settings: ReportSettings,
) -> dict[str, Any]:
    """What the page shows of one scan (a row of SCANS) and its rows of `side_by_side`."""
    name, why = scan["scan_id"], REASONS.get(scan["reason"])
    graded = grades[grades["evaluable"]].sort_values("severity", ascending=False, kind="stable").to_dict("records")
    vertebrae = []
    for row in grades.to_dict("records"):
        key = (name, row["vertebra"])
        vertebrae.append(_vertebra(row) | {"picture": _crop_uri(crops[key], settings) if key in crops else ""})
    return {
        "id": name,
        "patient": scan["patient_id"],
        "state": scan["state"],
        "why": why.meaning if why else "",
        "remedy": why.remedy if why else "",
        "flags": [FLAGS[flag] for flag in scan["flags"].split() if flag in FLAGS],
        "picture": data_uri(pictures[name]) if name in pictures else "",
        "graded": len(graded),
        "found": len(grades),
        "worst": _vertebra(graded[0]) if graded else None,
        "look": sum(bool(vertebra["flags"] or not vertebra["evaluable"]) for vertebra in vertebrae),
        "vertebrae": vertebrae,
    }


def _vertebra(row: Mapping[Any, Any]) -> dict[str, Any]:
    """What the page shows of one vertebra (a row of `side_by_side`)."""
    grade = int(row["grade"]) if row["evaluable"] else None
    reason = VERTEBRA_REASONS.get(row["reason"])
    return {
        "level": level_text(row["vertebra"], row["label_confidence"]),
        "evaluable": bool(row["evaluable"]),
        "grade": grade,
        "word": "" if grade is None else GRADE_WORDS[grade],
        "colour": "" if grade is None else GRADE_COLOURS[grade],
        "severity": _number(row["severity"]),
        "interval": f"{row['severity_low']:.1f} to {row['severity_high']:.1f}" if row["evaluable"] else "",
        "others": [_other(row, method) for method in _other_methods(row)],
        "flags": [flag.replace("_", " ") for flag in row["flags"].split() if flag in VERTEBRA_FLAGS],
        "why": reason.meaning if reason else "",
    }


def _other(row: Mapping[Any, Any], method: str) -> str:
    grade = row[f"grade_{method}"]
    return f"{int(grade)} ({_number(row[f'severity_{method}'])})" if grade >= 0 else ""


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.1f}"


def _crop_uri(hu: np.ndarray, settings: ReportSettings) -> str:
    """A crop (H, W) in HU as data URI."""
    file = io.BytesIO()
    Image.fromarray(grey_values(hu, settings)).save(file, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def _words_used(grades: pd.DataFrame) -> dict[str, str]:
    """The flags of vertebrae that the page shows, and what each means."""
    used = {flag for text in grades["flags"] for flag in text.split()}
    return {flag.replace("_", " "): meaning for flag, meaning in VERTEBRA_FLAGS.items() if flag in used}


def _model(card: Mapping[str, Any]) -> dict[str, Any]:
    """What the page tells of a model's card."""
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
        "coverage": f"{100 * card['coverage']:g}",
        "limits": card["limits"],
        "licence": card["licence"],
    }
