"""Compare the scans of a patient that have months: which vertebra is which, what its heights lost, new fractures."""

from vertegrade.follow_up.changes import Tables, follow_up
from vertegrade.follow_up.table import table_for_people
from vertegrade.follow_up.tables import FOLLOW_UP, FOLLOW_UP_SCANS, FOLLOW_UP_TABLE
from vertegrade.settings.follow_up import FollowUpSettings
from vertegrade.settings.grading import GradingSettings
from vertegrade.tables import LANDMARKS, MEASUREMENTS, PREDICTIONS, SCANS, read_table, read_tables, write_table
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    tables = Tables(
        scans=read_tables(job.input.scans, SCANS),
        landmarks=read_tables(job.input.landmarks, LANDMARKS),
        measurements=read_tables(job.input.measurements, MEASUREMENTS),
        predictions=read_table(job.input.predictions, PREDICTIONS),
    )
    least = job.settings(GradingSettings).fracture_grade
    vertebrae, scans = follow_up(job.params.pairs, tables, job.settings(FollowUpSettings), least)
    for row in scans.itertuples():
        said = row.reason or "matched"
        job.log.info("%s to %s: %d compared, %s", row.scan_before, row.scan_after, row.compared, said)
    write_table(job.output.vertebrae, vertebrae, FOLLOW_UP)
    write_table(job.output.scans, scans, FOLLOW_UP_SCANS)
    write_table(job.output.table, table_for_people(vertebrae), FOLLOW_UP_TABLE)
