"""Say how the export of all scans ended; fails where an error of the program left a scan without its files."""

import csv
from pathlib import Path

from vertegrade.files import write_text
from vertegrade.report.plain_words import plural
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    rows: list[dict[str, str]] = []
    for folder in job.input:
        with Path(folder, "scans.tsv").open(encoding="utf-8", newline="") as file:
            rows += csv.DictReader(file, delimiter="\t")
    failed = [f"{row['scan_id']} ({row['error']})" for row in rows if row["error"]]
    if failed:
        reason = f"an error of the program stopped the export of {', '.join(failed)}; please report it"
        job.log.error("%s; what was exported of other scans is kept", reason)
        raise SystemExit(f"{reason}; what was exported of other scans is kept")
    without = sum(bool(row["why_no_dicom"]) for row in rows)
    write_text(job.output[0], f"{plural(len(rows), 'scan')}, {without} of them without DICOM (see scans.tsv)\n")
