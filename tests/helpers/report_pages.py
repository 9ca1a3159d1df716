"""Every kind of page that a run writes, in one folder as a run lays them out, of made-up patients."""

from contextlib import chdir
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from helpers import bone_page, challenge_page, comparison_page
from helpers.changes import CHANGES, pair
from helpers.drawn import drawn
from helpers.patients import COHORT, about, index, measurements, patients, pictures, placed, strips_of
from helpers.small_run import write_run
from helpers.synthetic_predictions import make_cohort
from vertegrade.cohort.qc import QcMark
from vertegrade.evaluation.evaluate import compare, evaluate
from vertegrade.files import file_hashes
from vertegrade.grading.grades import grade_table
from vertegrade.report.applied import applied_run
from vertegrade.report.cohort_page import cohort_page
from vertegrade.report.flow import cohort_flow
from vertegrade.report.patients.findings import Patient, patients_of, side_by_side
from vertegrade.report.patients.follow_up import comparisons
from vertegrade.report.patients.pages import patient_page
from vertegrade.report.strip_table import film_name
from vertegrade.settings.evaluation import EvaluationSettings
from vertegrade.workflow.lineage import lineage_page, lineage_table, scans_of, steps_behind
from vertegrade.workflow.manifest import read_manifests

INDEX_OF_500 = "index of 500"
FIGURES = ("roc", "pr", "calibration", "confusion", "height_loss", "levels", "montage", "counterfactuals", "looks_at")
METHODS = ("dae", "keypoints", "pca")
# What a page shows at its widest: flags, a note, a level that is not sure.
DOUBT: dict[str, Any] = {"flags": "doubtful_points uncertain_level", "label_confidence": 0.5}
LOOKED: dict[str, Any] = {
    "finding": "So 80 % comes from the vertebra itself.",
    "warning": "",
    "trust": "It agrees.",
    "maps": ["Gradient", "Occlusion", "PCA (exact)"],
    "areas": [{"name": "Endplates", "cells": ["9 %", "18 %", "0.45", "17 %", "20 %", "0.38"]}],
    "heights": [{"name": "Wedge, all levels", "source": "Test CT", "n": 7, "cells": ["−20.0", "−12.0", "−3.0"]}],
}


def write_report(folder: Path) -> dict[str, Path]:
    """`report/` of a run: index, cohort and a page of each patient; those worth a look by name."""
    report = folder / "report"
    (report / "patients").mkdir(parents=True)
    (folder / "spines").mkdir()
    own = about(own=True, phantom=True, methods=[*METHODS], recommendation="Please assess bone density.")
    marks = {COHORT.scans["scan_id"][0]: QcMark("doubt", "levels?")}
    grades = side_by_side({name: _predictions(name).assign(**DOUBT) for name in METHODS})
    people = patients_of(COHORT.scans, grades, measurements(), marks)
    scan, vertebra = people[0].found[0]
    people[0] = _with_a_second_scan(people[0], people[1])
    shown = pictures(folder / "spines", strips=strips_of(scan.id, vertebra.label))
    for patient in people:
        followed = comparisons(CHANGES, pair(CHANGES)) if patient is people[1] else []
        text = patient_page(patient, placed(COHORT.landmarks), shown, own, followed)
        (report / f"patients/{patient.id}.html").write_text(text, encoding="utf-8")
    (report / "patients" / film_name(scan.id, vertebra.label)).write_bytes(shown.film(scan.id, vertebra.label))
    (report / "index.html").write_text(index(people, shown, own=True, phantom=True), encoding="utf-8")
    (report / "cohort.html").write_text(cohort(folder), encoding="utf-8")
    healthy = next(patient for patient in people if patient.graded and not patient.fractured(1))
    ids = {"findings": people[0], "follow-up": people[1], "no finding": healthy, "not evaluable": people[-1]}
    pages = {f"patient, {name}": report / f"patients/{patient.id}.html" for name, patient in ids.items()}
    return {"cohort": report / "cohort.html", "index": report / "index.html"} | pages


def _predictions(method: str) -> pd.DataFrame:
    return COHORT.dae if method == "dae" else COHORT.pca.assign(method=method)


def _with_a_second_scan(first: Patient, other: Patient) -> Patient:
    return replace(first, scans=(*first.scans, replace(other.scans[0], patient=first.id)))


def write_index(folder: Path, count: int) -> Path:
    """The page of so many patients, graded by the model of another run; pages of the patients are not there."""
    path = folder / "index.html"
    path.write_text(index(patients(make_cohort(count))), encoding="utf-8")
    return path


def cohort(folder: Path) -> str:
    """The page of the cohort with all its sections; pictures are grey."""
    figures = {name: folder / f"{name}.png" for name in FIGURES}
    for file in figures.values():
        Image.new("L", (1400, 500), 128).save(file)
    settings = EvaluationSettings(bootstrap_resamples=20)
    tables = COHORT.tables()
    metrics = {name: evaluate(_predictions(name), tables, settings, 1, 7, name) for name in METHODS}
    flow = cohort_flow([scan for scan, _ in COHORT.sheet], COHORT.scans, COHORT.landmarks, tables, COHORT.dae)
    flow["flags"] = [{"flag": "resampled_tilt", "scans": 3, "vertebrae": 41}]
    difference = compare(COHORT.dae, COHORT.pca, tables, settings, 1, 7, ("dae", "pca"))
    applied = applied_run("other", grade_table({"dae": COHORT.dae}), None, True)
    facts = {"Commit": "b684443", "Command": "snakemake --configfile " + "a" * 80}
    more = {"applied": [applied], "counterfactuals": drawn(60), "looked": LOOKED}
    return cohort_page(metrics, flow, figures, facts, [difference], phantom=True, **more)


def write_others(folder: Path) -> dict[str, Path]:
    """What is made only when asked for."""
    comparison_page.draw(folder, "svg")
    texts = {
        "challenge": challenge_page.page_of(challenge_page.rows(), folder),
        "comparison": comparison_page.page_of(folder),
        "metastasis": bone_page.page(),
    }
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in texts}


def write_lineage(folder: Path) -> Path:
    """Where a grade of a run of two rules comes from."""
    run, grade = folder / "run", {"scan_id": "a", "vertebra": 20, "method": "dae", "evaluable": True, "reason": ""}
    grade |= {"grade": 2, "severity": 1.9, "severity_low": 1.2, "severity_high": 2.6, "p_fracture": 0.9}
    grade |= {"novelty": 0.5, "flags": "doubtful_points", "label_confidence": 0.8}
    run.mkdir()
    with chdir(run):
        write_run()
        manifests = list(read_manifests("results"))
        steps = steps_behind(file_hashes(["results/crops"]), manifests, "0", "results")
    files = lineage_table(steps, "a", {"results": scans_of(manifests, None)})
    path = folder / "lineage.html"
    path.write_text(lineage_page(pd.DataFrame([grade]), steps, files, "L1", "of A"), "utf-8")
    return path
