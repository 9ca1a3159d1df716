"""False alarms by what looks like a fracture, and figures by how the scans were made, of all methods."""

from vertegrade.evaluation.comparison.groups import Acquired, groups_table
from vertegrade.evaluation.comparison.tables import COMPARED_CASES, COMPARED_GROUPS
from vertegrade.settings.evaluation import EvaluationSettings
from vertegrade.settings.grading import GradingSettings
from vertegrade.tables import (
    APPEARANCE,
    CROPS,
    PHANTOM_TRUTH,
    SCANS,
    read_table,
    read_tables,
    write_table,
)
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    acquired = Acquired(
        read_tables(job.input.scans, SCANS),
        read_tables(job.input.crops, CROPS),
        read_tables(job.input.appearance, APPEARANCE),
        read_tables(job.input.truth, PHANTOM_TRUTH) if job.input.truth else None,
    )
    table = groups_table(
        read_table(job.input.cases, COMPARED_CASES),
        acquired,
        job.settings(EvaluationSettings),
        job.settings(GradingSettings).fracture_grade,
        job.seed,
    )
    write_table(job.output.groups, table, COMPARED_GROUPS)
