"""Write the state of the run in a few lines; fails where `run.fail_on` says so."""

from vertegrade.files import write_text
from vertegrade.report.outcome import finding_lines, scan_lines, why_not_well
from vertegrade.tables import GRADE_TABLE, SCANS, read_table, read_tables
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    scans = read_tables(job.input.scans, SCANS)
    reason = why_not_well(scans, job.params.fail_on)
    if reason:
        job.log.error("%s; the results are kept", reason)
        raise SystemExit(f"{reason}; the results are kept")
    lines = [*scan_lines(scans), *finding_lines(read_table(job.input.grades, GRADE_TABLE))]
    write_text(job.output[0], "\n".join(lines) + "\n")
