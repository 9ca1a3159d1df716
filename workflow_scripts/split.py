"""Split the patients, and refuse a cohort in which a patient or an image is in two splits."""

from vertegrade.cohort.leakage import check_leakage
from vertegrade.cohort.sources import read_labels
from vertegrade.cohort.splits import assign_splits, merge_given_splits
from vertegrade.settings.cohort import SplitSettings
from vertegrade.tables import PATIENT_SPLITS, SCANS, read_tables, write_table
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    scans = read_tables(job.input.scans, SCANS)
    official = read_labels(job.input.official).given_splits if job.input.official else {}
    given = merge_given_splits(scans["patient_id"], job.params.given, official)
    splits = assign_splits(given, job.settings(SplitSettings))
    for warning in check_leakage(scans, splits):
        job.log.warning(warning)
    job.log.info("patients: %s", splits["split"].value_counts().to_dict())
    write_table(job.output.splits, splits, PATIENT_SPLITS)
