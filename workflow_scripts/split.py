"""Split the patients, and refuse a cohort in which a patient or an image stands in two splits."""

from vertegrade.cohort.leakage import check_leakage
from vertegrade.cohort.sources import read_labels
from vertegrade.cohort.splits import assign_splits, merge_given_splits
from vertegrade.settings.cohort import SplitSettings
from vertegrade.stage import run_stage
from vertegrade.tables import PATIENT_SPLITS, SCANS, read_tables

with run_stage(snakemake) as job:
    scans = read_tables(job.input.scans, SCANS)
    official = read_labels(job.input.official).given_splits if job.input.official else {}
    given = merge_given_splits(scans["patient_id"], job.params.given, official)
    splits = assign_splits(given, job.settings(SplitSettings))
    for warning in check_leakage(scans, splits):
        job.log.warning(warning)
    job.log.info("patients: %s", splits["split"].value_counts().to_dict())
    job.write_table(job.output.splits, splits, PATIENT_SPLITS)
