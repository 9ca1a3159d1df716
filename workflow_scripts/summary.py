"""The figures of the run that other programs can rely on (docs/reference/summary.md)."""

from vertegrade.evaluation.summary import summary
from vertegrade.files import read_json, write_json
from vertegrade.tables import GRADE_TABLE, SCANS, has_flag, read_table, read_tables
from vertegrade.workflow.cost import cost
from vertegrade.workflow.job import run_job
from vertegrade.workflow.run_facts import job_manifests, run_facts

with run_job(snakemake) as job:
    scans = read_tables(job.input.scans, SCANS)
    grades = read_table(job.input.grades, GRADE_TABLE)
    graded = grades[grades["evaluable"]]
    cohort = {
        "scans": len(scans),
        "scans_done": int((scans["state"] == "done").sum()),
        "vertebrae": len(grades),
        "vertebrae_graded": len(graded),
        "vertebrae_uncertain_level": int(has_flag(graded, "uncertain_level").sum()),
        "vertebrae_doubtful_points": int(has_flag(graded, "doubtful_points").sum()),
        "vertebrae_unlike_training": int(has_flag(grades, "unlike_training").sum()),
        "vertebrae_methods_disagree": int(has_flag(graded, "methods_disagree").sum()),
    }
    metrics = {content["method"]: content for content in map(read_json, job.input.metrics)}
    jobs = job_manifests(job.params.manifests)
    facts = run_facts(jobs, job.params.settings_sha256)
    numbers = summary(metrics, cohort, facts, cost(jobs, len(scans)))
    for method, figures in numbers["methods"].items():
        numbers_only = {name: value for name, value in figures.items() if isinstance(value, float)}
        job.log.info("%s: %s", method, {name: round(value, 3) for name, value in numbers_only.items()})
    write_json(job.output.summary, numbers)
