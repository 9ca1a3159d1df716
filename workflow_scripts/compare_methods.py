"""Compare all methods on the test vertebrae that each of them graded."""

from vertegrade.evaluation.cases import read_cohort
from vertegrade.evaluation.comparison.cases import cases_of, cases_table, left_out_table
from vertegrade.evaluation.comparison.measures import comparison_table
from vertegrade.evaluation.comparison.tables import COMPARED_CASES, COMPARISON, LEFT_OUT
from vertegrade.evaluation.scan_scores import whole_scans
from vertegrade.settings.evaluation import EvaluationSettings
from vertegrade.settings.grading import GradingSettings
from vertegrade.tables import PREDICTIONS, SCAN_SCORES, read_table, read_tables, write_table
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    predictions = {
        method: read_table(path, PREDICTIONS)
        for method, path in zip(job.params.methods, job.input.predictions, strict=True)
    }
    cohort = read_cohort(job.input)
    fracture_grade = job.settings(GradingSettings).fracture_grade
    scores = read_tables(job.input.scan_scores, SCAN_SCORES) if job.input.scan_scores else None
    scans = None if scores is None else whole_scans(scores, cohort.labels, cohort.splits, fracture_grade)
    cases = cases_of(predictions, cohort, scans)
    table = comparison_table(cases, job.settings(EvaluationSettings), fracture_grade, job.seed, scans)
    write_table(job.output.comparison, table, COMPARISON)
    write_table(job.output.cases, cases_table(cases), COMPARED_CASES)
    write_table(job.output.left_out, left_out_table(cases), LEFT_OUT)
