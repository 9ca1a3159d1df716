"""Grades of a shard's virtual fractures, and grade 0 for shams, untouched and the scans' own intact vertebrae."""

import pandas as pd

from vertegrade.drawn_tables import VIRTUAL_TRUTH
from vertegrade.tables import LABELS, LANDMARKS, MEASUREMENTS, read_table, write_table
from vertegrade.virtual_fractures.truth import intact_labels, virtual_labels
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    truth = read_table(job.input.truth, VIRTUAL_TRUTH)
    labels = virtual_labels(truth, read_table(job.input.landmarks, LANDMARKS))
    own = read_table(job.input.measurements, MEASUREMENTS)
    own = own[own["scan_id"].isin(truth["source_scan_id"])]
    write_table(job.output.labels, pd.concat([labels, intact_labels(own)]), LABELS)
