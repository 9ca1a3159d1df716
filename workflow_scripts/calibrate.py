"""Calibrate the signed distance to the Genant scale, with an interval, by training and validation patients."""

from vertegrade.files import read_json, write_json
from vertegrade.grading.calibration import calibrate
from vertegrade.grading.hyperplane import Hyperplane
from vertegrade.settings.grading import GradingSettings
from vertegrade.tables import LABELS, LATENTS, PATIENT_SPLITS, read_table, read_tables
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    calibration = calibrate(
        read_tables(job.input.latents, LATENTS),
        read_tables(job.input.labels, LABELS),
        read_table(job.input.splits, PATIENT_SPLITS),
        Hyperplane.from_dict(read_json(job.input.hyperplane)),
        job.settings(GradingSettings),
        job.seed,
    )
    for row in calibration.scores:
        job.log.info("%s", row)
    job.log.info("chosen: %s", calibration.chosen)
    job.log.info("decision rule: %s of %s", calibration.scale.rule, calibration.scale.scores)
    write_json(job.output.calibrator, calibration.to_dict())
