"""How well patients are told apart by each network that reads the whole spine, and by all together."""

from vertegrade.evaluation.scan_scores import scan_metrics
from vertegrade.files import write_json
from vertegrade.settings.evaluation import EvaluationSettings
from vertegrade.tables import LABELS, PATIENT_SPLITS, SCAN_SCORES, read_table, read_tables
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    metrics = scan_metrics(
        read_tables(job.input.scans, SCAN_SCORES),
        read_table(job.input.labels, LABELS),
        read_table(job.input.splits, PATIENT_SPLITS),
        job.settings(EvaluationSettings),
        job.params.settings["grading.fracture_grade"],
        job.seed,
    )
    write_json(job.output.metrics, metrics)
