"""Split the patients, and refuse a cohort in which a patient or an image stands in two splits."""

from vertegrade.cohort.leakage import check_leakage
from vertegrade.cohort.splits import assign_splits
from vertegrade.cohort.verse19 import official_splits
from vertegrade.settings.cohort import SplitSettings
from vertegrade.stage import run_stage
from vertegrade.tables import PATIENT_SPLITS, SCANS, read_tables

with run_stage(snakemake) as job:
    scans = read_tables(job.input.scans, SCANS)
    given = dict(job.params.given)
    for sheet in job.input.official:
        given = {**official_splits(sheet), **given}
    splits = assign_splits(scans["patient_id"].unique(), given, job.settings(SplitSettings))
    for warning in check_leakage(scans, splits):
        job.log.warning(warning)
    job.write_table(job.output.splits, splits, PATIENT_SPLITS)
