"""Write how the run stands in a few lines; fails, as the last job, where `run.fail_on` says so."""

from vertegrade.files import write_text
from vertegrade.report.outcome import outcome_lines, why_not_well
from vertegrade.stage import run_stage
from vertegrade.tables import SCANS, read_tables

with run_stage(snakemake) as job:
    scans = read_tables(job.input.scans, SCANS)
    reason = why_not_well(scans, job.params.fail_on)
    if reason:
        raise SystemExit(f"{reason}; the results are kept")
    write_text(job.output[0], "\n".join(outcome_lines(job.results, job.params.shards, len(scans))) + "\n")
