"""Make the phantom scans of a shard: DICOM series, VerSe annotations and the truth behind them."""

from contextlib import ExitStack

import pandas as pd

from vertegrade.cohort.sheet import ScanRow
from vertegrade.files import new_folder
from vertegrade.phantom.scanner.scan import make_scan
from vertegrade.progress import progress
from vertegrade.settings.phantom import PhantomSettings
from vertegrade.tables import PHANTOM_TRUTH, write_table
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job, ExitStack() as stack:
    settings = job.settings(PhantomSettings)
    dicom = stack.enter_context(new_folder(job.output.dicom))
    annotations = stack.enter_context(new_folder(job.output.annotations))
    truth = []
    for row in progress([ScanRow(**plain) for plain in job.params.rows], job.log, "scans"):
        truth.append(make_scan(row, settings, job.seed, dicom / row.scan_id, annotations))
        job.log.info("%s: %d vertebrae", row.scan_id, len(truth[-1]))
    write_table(job.output.truth, pd.concat(truth), PHANTOM_TRUTH)
