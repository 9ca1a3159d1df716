"""One table of all methods' grades, for people and spreadsheets."""

from pathlib import Path

from vertegrade.grading.grades import grade_table
from vertegrade.tables import GRADE_TABLE, PREDICTIONS, has_flag, read_table, write_table
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    predictions = {Path(path).stem: read_table(path, PREDICTIONS) for path in job.input.predictions}
    table = grade_table(predictions)
    for flag in ("unlike_training", "look_at_this", "methods_disagree"):
        job.log.info("%s: %d of %d vertebrae", flag, has_flag(table, flag).sum(), len(table))
    write_table(job.output.grades, table, GRADE_TABLE)
