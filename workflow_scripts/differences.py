"""Differences between a method and its baseline on the same test vertebrae, with paired intervals."""

from vertegrade.evaluation.cases import read_cohort
from vertegrade.evaluation.evaluate import compare
from vertegrade.files import write_json
from vertegrade.settings.evaluation import EvaluationSettings
from vertegrade.settings.grading import GradingSettings
from vertegrade.tables import PREDICTIONS, read_table
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    differences = compare(
        read_table(job.input.predictions, PREDICTIONS),
        read_table(job.input.baseline, PREDICTIONS),
        read_cohort(job.input),
        job.settings(EvaluationSettings),
        job.settings(GradingSettings).fracture_grade,
        job.seed,
        (job.wildcards.method, job.params.baseline),
    )
    write_json(job.output.differences, differences)
