"""Every kind of page that a run writes, in one folder as a run lays them out, of made-up patients."""

from contextlib import chdir
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from helpers import bone_page, challenge_page, comparison_page
from helpers.changes import CHANGES, pair
from helpers.charts import write_charts
from helpers.drawn import drawn, rivals
from helpers.exported import bodies, curves
from helpers.patients import COHORT, about, index, measurements, patients, pictures, placed, strips_of
from helpers.records import record_of
from helpers.small_run import write_run
from helpers.synthetic_predictions import make_cohort
from vertegrade.cohort.qc import QcMark
from vertegrade.evaluation.comparison.cases import cases_of
from vertegrade.evaluation.comparison.measures import comparison_table
from vertegrade.evaluation.evaluate import compare, evaluate
from vertegrade.files import file_hashes
from vertegrade.grading.grades import grade_table
from vertegrade.report.applied import applied_run
from vertegrade.report.charts.section import charts_section
from vertegrade.report.cohort_page import Paper, Vertebrae, cohort_page
from vertegrade.report.crop_pictures import CropPictures
from vertegrade.report.flow import cohort_flow
from vertegrade.report.links import PatientLinks
from vertegrade.report.patients.findings import Patient, patients_of, side_by_side
from vertegrade.report.patients.follow_up import comparisons
from vertegrade.report.patients.pages import patient_page
from vertegrade.report.patients.pictures import Pictures
from vertegrade.report.strip_table import film_name
from vertegrade.report.tiles import Graded, galleries, montage_tiles, strip_tiles
from vertegrade.settings.evaluation import EvaluationSettings
from vertegrade.tables import PREDICTIONS
from vertegrade.workflow.cost import cost
from vertegrade.workflow.lineage import lineage_page, lineage_table, scans_of, steps_behind
from vertegrade.workflow.manifest import read_manifests

INDEX_OF_500 = "index of 500"
FIGURES = ("roc", "pr", "calibration", "confusion", "height_loss", "levels")
PICTURES = ("montage", "counterfactuals", "rivals", "looks_at")
METHODS = ("dae", "keypoints", "pca")
PAPER = {"methods.md": "methods", "claim.md": "CLAIM 2024 checklist", "tripod_ai.md": "TRIPOD+AI checklist"}
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
        record = _measured(scan.id) if patient is people[0] else None
        text = patient_page(patient, placed(COHORT.landmarks), shown, own, followed, record)
        (report / f"patients/{patient.id}.html").write_text(text, encoding="utf-8")
    (report / "patients" / film_name(scan.id, vertebra.label)).write_bytes(shown.film(scan.id, vertebra.label))
    (report / "index.html").write_text(index(people, shown, own=True, phantom=True), encoding="utf-8")
    (report / "cohort.html").write_text(cohort(report, shown), encoding="utf-8")
    healthy = next(patient for patient in people if patient.graded and not patient.fractured(1))
    ids = {"findings": people[0], "follow-up": people[1], "no finding": healthy, "not evaluable": people[-1]}
    pages = {f"patient, {name}": report / f"patients/{patient.id}.html" for name, patient in ids.items()}
    return {"cohort": report / "cohort.html", "index": report / "index.html"} | pages


def _predictions(method: str) -> pd.DataFrame:
    return COHORT.dae if method == "dae" else COHORT.pca.assign(method=method)


def _measured(scan: str) -> dict[str, Any]:
    """A record of a scan with all that may be measured beside the heights, and all that may be missing."""
    beside = (table.assign(scan_id=scan) for table in (bodies(), curves()))
    return record_of({19: 0.2, 20: "unlike_training", 21: 2.7}, scan, "", *beside)


def _with_a_second_scan(first: Patient, other: Patient) -> Patient:
    return replace(first, scans=(*first.scans, replace(other.scans[0], patient=first.id)))


def write_index(folder: Path, count: int) -> Path:
    """The page of so many patients, graded by the model of another run; pages of the patients are not there."""
    path = folder / "index.html"
    path.write_text(index(patients(make_cohort(count))), encoding="utf-8")
    return path


def cohort(report: Path, shown: Pictures) -> str:
    """The page of the cohort with all that a run shows on it, and the files that it names; pictures are grey."""
    figures = {name: report / f"{name}.png" for name in (*FIGURES, *PICTURES)}
    for file in figures.values():
        Image.new("L", (1400, 500), 128).save(file)
    for name in PAPER:
        (report / name).write_text(name, encoding="utf-8")
    settings, tables = EvaluationSettings(bootstrap_resamples=20), COHORT.tables()
    predictions = {name: _predictions(name) for name in METHODS}
    metrics = {name: evaluate(its, tables, settings, 1, 7, name) for name, its in predictions.items()}
    flow = cohort_flow([scan for scan, _ in COHORT.sheet], COHORT.scans, COHORT.landmarks, tables, COHORT.dae)
    flow["flags"] = [{"flag": "resampled_tilt", "scans": 3, "vertebrae": 41}]
    used = {"wall_s": 3600.0, "cpu_s": 1800.0, "peak_rss_mb": 512.0, "device": "cpu", "gpus": 0}
    facts = {"Commit": "b684443", "Command": "snakemake --configfile " + "a" * 80}
    return cohort_page(
        metrics,
        flow,
        figures,
        facts,
        differences=[compare(COHORT.dae, COHORT.pca, tables, settings, 1, 7, ("dae", "pca"))],
        phantom=True,
        cost=cost([{"rule": "train_dae", "resources": used}], 4),
        applied=[applied_run("other", grade_table({"dae": COHORT.dae}), None, True)],
        counterfactuals=drawn(60),
        rivals=rivals(),
        looked=LOOKED,
        charts=charts_section(_charts(report.parent / "charted", predictions)),
        comparison=comparison_table(cases_of(predictions, tables), settings, 1, 7),
        vertebrae=_vertebrae(report / "counterfactuals", predictions, shown),
        paper=Paper([("Data", ["Scans [1]."])], ["A paper."], PAPER),
    )


def _charts(folder: Path, predictions: dict[str, pd.DataFrame]) -> Path:
    """Their folder; each row of the table below them has its flags."""
    folder.mkdir()
    order = [name for name in PREDICTIONS.columns if name in {*DOUBT, *COHORT.dae.columns}]
    doubtful = {name: its.assign(**DOUBT)[order] for name, its in predictions.items()}
    return write_charts(folder, predictions=doubtful)


def _vertebrae(films: Path, predictions: dict[str, pd.DataFrame], shown: Pictures) -> Vertebrae:
    """Errors, and the vertebrae of the pictures; `films` gets a grey animation of each strip."""
    crops = CropPictures(shown.crops, shown.place_of_crop, shown.window)
    of = Graded(predictions, COHORT.labels, grade_table(predictions), PatientLinks(COHORT.scans), crops)
    rows = list(of.rows("dae").head(6).itertuples())
    strips = pd.concat([strips_of(row.scan_id, row.vertebra).assign(row=n) for n, row in enumerate(rows)])
    films.mkdir()
    for row in rows:
        Image.new("L", (300, 300), 128).save(films / film_name(row.scan_id, row.vertebra))
    return Vertebrae(galleries(of, 1), montage_tiles(of, 24), strip_tiles(strips, of, 6))


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
