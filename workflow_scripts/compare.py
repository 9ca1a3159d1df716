"""Differences between the DAE and its baseline on the same test vertebrae, with paired intervals."""

from vertegrade.evaluation.evaluate import compare
from vertegrade.files import read_json, write_json
from vertegrade.grading.calibration import Calibration
from vertegrade.settings.evaluation import EvaluationSettings
from vertegrade.tables import CROPS, LABELS, PATIENT_SPLITS, PREDICTIONS, SCANS, read_table, read_tables
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    first, second = (read_table(path, PREDICTIONS) for path in job.input.predictions)
    calibrations = [Calibration.from_dict(read_json(path)) for path in job.input.calibrators]
    differences = compare(
        first,
        second,
        read_table(job.input.labels, LABELS),
        read_tables(job.input.scans, SCANS),
        read_tables(job.input.crops, CROPS),
        read_table(job.input.splits, PATIENT_SPLITS),
        job.settings(EvaluationSettings),
        calibrations[0].fracture_grade,
        job.seed,
        ("dae", "pca"),
    )
    write_json(job.output.differences, differences)
