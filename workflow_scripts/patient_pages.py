"""A page for each patient, and one of all patients, worst first."""

from pathlib import Path

from vertegrade.arrays import read_array
from vertegrade.cohort.qc import read_marks
from vertegrade.drawn_tables import COUNTERFACTUALS
from vertegrade.files import new_folder, read_json, write_text
from vertegrade.follow_up.tables import FOLLOW_UP, FOLLOW_UP_SCANS
from vertegrade.progress import progress
from vertegrade.report.crop_pictures import crops_of
from vertegrade.report.patients.findings import patients_of, side_by_side
from vertegrade.report.patients.follow_up import comparisons
from vertegrade.report.patients.pages import About, drawn_of, graded_levels, index_page, patient_page
from vertegrade.report.patients.pictures import Pictures
from vertegrade.report.strip_table import film_name
from vertegrade.report.strips import within_window
from vertegrade.settings.dae import DaeModelSettings
from vertegrade.settings.grading import GradingSettings
from vertegrade.settings.report import ReportSettings
from vertegrade.settings.spine import LocalizeSettings
from vertegrade.tables import LANDMARKS, MEASUREMENTS, PREDICTIONS, SCANS, SPINES, read_table, read_tables
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job, new_folder(job.output.pages) as folder:
    settings, levels = job.settings(ReportSettings), job.settings(LocalizeSettings)
    grading = job.settings(GradingSettings)
    scans = read_tables(job.input.scans, SCANS)
    predictions = {Path(path).stem: read_table(path, PREDICTIONS) for path in job.input.predictions}
    marks = read_marks("".join(job.input.marks), set(scans["scan_id"]))
    patients = patients_of(scans, side_by_side(predictions), read_tables(job.input.measurements, MEASUREMENTS), marks)
    found = read_tables(job.input.landmarks, LANDMARKS)
    landmarks, nothing = dict(list(found.groupby("patient_id"))), found[:0]
    pictures = Pictures(
        **crops_of(job.input),
        spines={row["scan_id"]: row for row in read_tables(job.input.places, SPINES).to_dict("records")},
        folders=[Path(path) for path in job.input.spines],
        strips=read_table(job.input.strips, COUNTERFACTUALS),
        images=read_array(job.input.images),
        window=settings,
        drawn=within_window(settings, job.settings(DaeModelSettings)),
    )
    about = About(
        card=read_json(job.input.card) if job.input.card else None,
        strips=read_json(job.input.metrics),
        methods=list(predictions),
        graded=graded_levels(levels.first_vertebra, levels.last_vertebra),
        fracture_grade=grading.fracture_grade,
        coverage=grading.coverage,
        recommendation=settings.recommendation,
        **job.params.about,
    )
    compared = {}
    if job.input.follow_up:
        changes, pairs = (
            read_table(path, schema)
            for path, schema in zip(job.input.follow_up, (FOLLOW_UP, FOLLOW_UP_SCANS), strict=True)
        )
        for name, its in pairs.groupby("patient_id"):
            compared[str(name)] = comparisons(changes[changes["patient_id"] == name], its)
    for patient in progress(patients, job.log, "pages"):
        of_patient = compared.get(patient.id, [])
        record = read_json(Path(job.input.records, f"{patient.id}.json"))
        page = patient_page(patient, landmarks.get(patient.id, nothing), pictures, about, of_patient, record)
        (folder / f"{patient.id}.html").write_text(page, encoding="utf-8")
    for patient, n, vertebra in drawn_of(patients, pictures):
        scan = patient.scans[n].id
        (folder / film_name(scan, vertebra.label)).write_bytes(pictures.film(scan, vertebra.label))
    write_text(job.output.index, index_page(patients, about, pictures))
    job.log.info("%d pages", len(patients))
