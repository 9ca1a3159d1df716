"""Grades of any latents: hyperplane, calibrators, intervals and a report, without images and without a workflow.

    from vertegrade.latents import grade_latents

    found = grade_latents(z, grade, patient)

The steps are those of the workflow (docs/design/grading.md). `vertegrade grade-latents` does the same with files. No
rule imports this. Research use only, not a medical device.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vertegrade.cohort.hashed_split import hashed_split
from vertegrade.evaluation.bootstrap import Estimate, estimate
from vertegrade.evaluation.cases import patient_cases, patient_codes
from vertegrade.evaluation.definitions import patient_metrics, vertebra_metrics
from vertegrade.evaluation.texts import estimate_text
from vertegrade.files import new_folder, write_json, write_text
from vertegrade.grading.calibration import Calibration, calibrate
from vertegrade.grading.conformal import patients_needed
from vertegrade.grading.hyperplane import Hyperplane, fit_hyperplane
from vertegrade.grading.prediction import predict, with_patients
from vertegrade.grading.rows import GradingError
from vertegrade.latents_file import LabelledLatents, LatentsError, checked_latents, read_latents
from vertegrade.plotting import NOTICE
from vertegrade.settings.cohort import SplitSettings
from vertegrade.settings.evaluation import EvaluationSettings
from vertegrade.settings.grading import GradingSettings
from vertegrade.tables import GRADES, LABELS, LATENTS, PATIENT_SPLITS, SPLITS, check_table, write_frame

ANY_LEVEL = 20  # tables need one; nothing here depends on it
COLUMNS = ["patient", "split", "true_grade", "signed_distance", "severity", "grade", "severity_low", "severity_high"]
COLUMNS += ["p_fracture", *(f"p_grade_{grade}" for grade in GRADES), "patient_p_fracture", "patient_fractured"]
FIGURES = {
    "vertebra": ["auc", "sensitivity", "specificity", "macro_f1", "qwk", "mae", "brier", "interval_coverage"]
    + [f"interval_coverage_grade_{grade}" for grade in GRADES]
    + ["interval_width"],
    "patient": ["auc", "sensitivity", "specificity", "brier", "ece"],
}


@dataclass(frozen=True, eq=False)
class LatentGrades:
    """hyperplane, calibration: what was fitted. table: COLUMNS of each row given. test: estimates of FIGURES by level
    (`vertebra`, `patient`) of the test patients. warnings: what to know before anything is believed.
    """

    hyperplane: Hyperplane
    calibration: Calibration
    table: pd.DataFrame
    test: dict[str, dict[str, Estimate]]
    warnings: list[str]


def grade_latents(
    z: Any, grade: Any, patient: Any, split: Any = None, settings: GradingSettings | None = None, seed: int = 0
) -> LatentGrades:
    """Fit everything that turns latents into grades on the training patients, and grade all rows.

    z: (N, D) numbers. grade: (N,) grades of 0-3, of which two at least occur; -1 or NaN where unknown. patient: (N,)
    names: no patient is ever on both sides of a fold or a split. split: (N,) train, validation or test; without it 60,
    20 and 20 % of the patients, by a hash of the name. LatentsError: what is wrong, and the remedy.
    """
    given, settings = checked_latents(z, grade, patient, split), settings or GradingSettings()
    latents, labels, splits = _tables(given)
    try:
        hyperplane = fit_hyperplane(latents, labels, splits, settings, seed)
        calibration = calibrate(latents, labels, splits, hyperplane, settings, seed)
    except GradingError as error:
        raise LatentsError(str(error)) from error
    predictions = with_patients(predict(latents, hyperplane, calibration, splits, "latents"), calibration)
    table = predictions.sort_values("scan_id", ignore_index=True).assign(patient=given.patient, true_grade=given.grade)
    test = _test(table, settings.fracture_grade, seed)
    return LatentGrades(hyperplane, calibration, table[COLUMNS], test, _warnings(hyperplane, calibration))


def _tables(given: LabelledLatents) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """LATENTS, LABELS and PATIENT_SPLITS: each row is a scan of its own, in the order of the rows."""
    names, number = np.unique(given.patient, return_inverse=True)
    by_hash = [hashed_split(name, SplitSettings()) for name in names.tolist()]
    of_rows = dict(zip(given.patient, given.split or [by_hash[n] for n in number], strict=True))
    rows = pd.DataFrame(
        {
            "patient_id": [f"patient-{n:08d}" for n in number],
            "scan_id": [f"row-{n:010d}" for n in range(len(number))],
            "vertebra": ANY_LEVEL,
        }
    )
    model = hashlib.sha256(given.z.tobytes()).hexdigest()
    latents = rows.assign(crop=range(len(rows)), evaluable=True, reason="", model_sha256=model, z=list(given.z))
    labels = rows.assign(
        genant_grade=given.grade.astype(float), shape="", height_loss=np.nan, usable=given.grade >= 0, reason=""
    )
    labels["genant_grade"] = labels["genant_grade"].where(labels["usable"])
    splits = pd.DataFrame(
        {
            "patient_id": [f"patient-{n:08d}" for n in range(len(names))],
            "split": [of_rows[name] for name in names.tolist()],
            "origin": "given" if given.split else "hash",
        }
    )
    tables = ((latents, LATENTS, "latents"), (labels, LABELS, "grades"), (splits, PATIENT_SPLITS, "splits"))
    first, second, third = (check_table(table, schema, name) for table, schema, name in tables)
    return first, second, third


def _test(table: pd.DataFrame, fracture_grade: int, seed: int) -> dict[str, dict[str, Estimate]]:
    """Estimates of FIGURES of the test patients with a known grade."""
    cases = table[(table["split"] == "test") & (table["true_grade"] >= 0)].reset_index(drop=True)
    cases = cases.assign(genant_grade=cases["true_grade"], height_loss=np.nan)
    patients, settings = patient_cases(cases, fracture_grade), EvaluationSettings()
    found = {
        "vertebra": estimate(vertebra_metrics(cases, fracture_grade), patient_codes(cases), settings, seed),
        "patient": estimate(patient_metrics(patients), np.arange(len(patients)), settings, seed),
    }
    return {level: {name: found[level][name] for name in names} for level, names in FIGURES.items()}


def _warnings(hyperplane: Hyperplane, calibration: Calibration) -> list[str]:
    found = []
    if hyperplane.at_the_end():
        found.append(
            f"C {hyperplane.C:g} is the last penalty that is ever tried, so the best may lie beyond: look whether the "
            "latents tell the grades apart at all"
        )
    needed = patients_needed(calibration.intervals.coverage)
    rare = [str(grade) for grade in GRADES if calibration.intervals.patients[grade] < needed]
    if rare:
        found.append(
            f"grades {', '.join(rare)} have fewer than {needed} patients: their intervals are those of other grades"
        )
    if calibration.patient is None:
        found.append("too few training patients have a fracture, or have none: the worst grade calls a patient")
    return found


def write_grades(path: Path, folder: Path, settings: GradingSettings, seed: int) -> LatentGrades:
    """Grade the latents of a file and write all of it into a folder, which must not exist; LatentsError as above."""
    if folder.exists():
        raise LatentsError(f"{folder}: there already; name another folder for what is written")
    given = read_latents(path)
    try:
        found = grade_latents(given.z, given.grade, given.patient, given.split, settings, seed)
    except LatentsError as error:
        raise LatentsError(f"{path}: {error}") from error
    with new_folder(folder) as temporary:
        write_json(temporary / "hyperplane.json", found.hyperplane.to_dict())
        write_json(temporary / "calibrator.json", found.calibration.to_dict())
        write_frame(temporary / "grades.csv", found.table)
        write_text(temporary / "report.md", report_text(found, path.name))
    return found


def report_text(found: LatentGrades, name: str) -> str:
    """What was fitted, chosen and measured, as Markdown. name: of the latents."""
    plane, calibration, table = found.hyperplane, found.calibration, found.table
    counts = []
    for split in SPLITS:
        rows = table[table["split"] == split]
        known = [int((rows["true_grade"] == grade).sum()) for grade in (*GRADES, -1)]
        counts.append([split, rows["patient"].nunique(), *known])
    scores = [[row["kind"], f"{row['ranked_probability_score']:.4f}"] for row in calibration.scores]
    figures = [
        [f"{metric}, {level}", estimate_text(cell, 3), cell["n"]]
        for level, cells in found.test.items()
        for metric, cell in cells.items()
    ]
    intervals = calibration.intervals
    limits = [[grade, f"{intervals.limits[grade]:.3f}", intervals.patients[grade]] for grade in GRADES]
    rules = [[rule, f"{score:.4f}"] for rule, score in calibration.scale.scores.items()]
    return "\n".join(
        [
            f"# Grades of {name}",
            "",
            f"**{NOTICE}.** Fitted on training patients; figures are of test patients.",
            "",
            *(f"**Warning:** {warning}.\n" for warning in found.warnings),
            *_rows(["split", "patients", *(f"grade {grade}" for grade in GRADES), "unknown"], counts),
            f"- Hyperplane: {plane.classifier}, C {plane.C:g}, whitened {plane.whitened:g}, cross-validated AUC "
            f"{plane.auc_cv:.3f}.",
            f"- Calibrator: {calibration.chosen}. Decision rule: {calibration.scale.rule}, limits "
            f"{', '.join(f'{limit:.3f}' for limit in calibration.scale.limits)} of the expected grade.",
            f"- Fractured: grade {calibration.fracture_grade} or more.",
            "",
            *_rows(["calibrator", "ranked probability score, out of fold"], scores),
            *_rows(["decision rule", "score, out of fold"], rules),
            *_rows(["grade", "limit of its interval, predicted errors", "patients"], limits),
            *_rows(["figure, test", "value (95 % interval)", "cases"], figures),
        ]
    )


def _rows(heads: list[str], rows: list[list[Any]]) -> list[str]:
    """A Markdown table, and an empty line."""
    return [f"| {' | '.join(map(str, row))} |" for row in (heads, ["---"] * len(heads), *rows)] + [""]
