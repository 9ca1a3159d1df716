"""Read the Genant grades and say how many of the cropped vertebrae have one."""

from vertegrade.cohort.coverage import label_coverage
from vertegrade.cohort.labels import check_patients
from vertegrade.cohort.sources import read_labels
from vertegrade.tables import CROPS, LABELS, PATIENT_SPLITS, read_table, read_tables, write_frame, write_table
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    crops = read_tables(job.input.crops, CROPS)
    labels = read_labels(job.input.tables).table
    check_patients(labels, crops)
    coverage = label_coverage(crops, labels, read_table(job.input.splits, PATIENT_SPLITS))
    job.log.info("vertebrae: %s", coverage["state"].value_counts().to_dict())
    write_table(job.output.labels, labels, LABELS)
    write_frame(job.output.coverage, coverage)
