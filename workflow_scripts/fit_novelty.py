"""Fit what training vertebrae are like, and how unusual one may be, by training and validation patients."""

from vertegrade.files import read_json, write_json
from vertegrade.grading.calibration import Calibration
from vertegrade.grading.hyperplane import Hyperplane
from vertegrade.grading.novelty import fit_novelty
from vertegrade.tables import APPEARANCE, LATENTS, PATIENT_SPLITS, read_table, read_tables
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    novelty = fit_novelty(
        read_tables(job.input.latents, LATENTS),
        read_tables(job.input.appearance, APPEARANCE),
        read_table(job.input.splits, PATIENT_SPLITS),
        Hyperplane.from_dict(read_json(job.input.hyperplane)),
        Calibration.from_dict(read_json(job.input.calibrator)),
    )
    job.log.info("limits from %d validation vertebrae of %d patients", novelty.vertebrae, novelty.patients)
    write_json(job.output.novelty, novelty.to_dict())
