"""Measure a method against the labels, with intervals by bootstrap over patients."""

from dataclasses import replace

from vertegrade.evaluation.cases import read_cohort
from vertegrade.evaluation.evaluate import evaluate, metrics_table
from vertegrade.files import write_json
from vertegrade.settings.evaluation import EvaluationSettings
from vertegrade.settings.grading import GradingSettings
from vertegrade.tables import PREDICTIONS, read_table, write_frame
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    metrics = evaluate(
        read_table(job.input.predictions, PREDICTIONS),
        replace(read_cohort(job.input), subjects=job.params.subjects),
        job.settings(EvaluationSettings),
        job.settings(GradingSettings).fracture_grade,
        job.seed,
        job.wildcards.method,
    )
    write_json(job.output.metrics, metrics, sort_keys=False)  # levels from head to feet, slices from thin to thick
    write_frame(job.output.table, metrics_table(metrics))
