"""Each patient's page as PDF, printed by the Chromium that is installed."""

from pathlib import Path

from vertegrade.files import new_folder
from vertegrade.report.patients.printing import print_pages
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job, new_folder(job.output[0]) as folder:
    count = print_pages(sorted(Path(job.input.pages).glob("*.html")), folder)
    job.log.info("%d pages printed", count)
