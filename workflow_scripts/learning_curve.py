"""How good a method grades when only a share of the training patients is labelled."""

from vertegrade.evaluation.comparison.learning_curve import learning_curve
from vertegrade.evaluation.comparison.tables import COMPARED_CASES, LEARNING_CURVE
from vertegrade.settings.compare import CompareSettings
from vertegrade.settings.evaluation import EvaluationSettings
from vertegrade.settings.grading import GradingSettings
from vertegrade.tables import LABELS, LATENTS, PATIENT_SPLITS, read_table, read_tables, write_table
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    cases = read_table(job.input.cases, COMPARED_CASES)
    curve = learning_curve(
        job.wildcards.method,
        read_tables(job.input.latents, LATENTS),
        read_tables(job.input.labels, LABELS),
        read_table(job.input.splits, PATIENT_SPLITS),
        cases[cases["method"] == job.wildcards.method],
        (job.settings(CompareSettings), job.settings(GradingSettings)),
        job.settings(EvaluationSettings).minimum_cases,
        job.seed,
    )
    write_table(job.output.curve, curve, LEARNING_CURVE)
