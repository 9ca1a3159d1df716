"""Heights of intact vertebrae by level, of the training split's own vertebrae: what `measure` expects."""

from vertegrade.files import write_json
from vertegrade.spine.fit_intact_heights import fit_intact_heights
from vertegrade.tables import LABELS, LANDMARKS, PATIENT_SPLITS, read_table, read_tables
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    numbers = fit_intact_heights(
        read_tables(job.input.landmarks, LANDMARKS),
        read_table(job.input.splits, PATIENT_SPLITS),
        read_table(job.input.labels, LABELS) if job.input.labels else None,
    )
    job.log.info("heights of intact vertebrae: %s", numbers["about"])
    write_json(job.output.heights, numbers)
