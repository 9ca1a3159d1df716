"""Measure a method against the labels, with intervals by bootstrap over patients."""

from vertegrade.evaluation.evaluate import evaluate, metrics_table
from vertegrade.files import read_json, write_json
from vertegrade.grading.calibration import Calibration
from vertegrade.settings.evaluation import EvaluationSettings
from vertegrade.tables import CROPS, LABELS, PATIENT_SPLITS, PREDICTIONS, SCANS, read_table, read_tables, write_frame
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    calibration = Calibration.from_dict(read_json(job.input.calibrator))
    metrics = evaluate(
        read_table(job.input.predictions, PREDICTIONS),
        read_table(job.input.labels, LABELS),
        read_tables(job.input.scans, SCANS),
        read_tables(job.input.crops, CROPS),
        read_table(job.input.splits, PATIENT_SPLITS),
        job.settings(EvaluationSettings),
        calibration.fracture_grade,
        job.seed,
        job.wildcards.method,
    )
    write_json(job.output.metrics, metrics, sort_keys=False)  # levels from head to feet, slices from thin to thick
    write_frame(job.output.table, metrics_table(metrics))
