"""Calibrate a method's own grade probabilities on validation patients: scale, intervals, patients."""

from vertegrade.files import write_json
from vertegrade.grading.probabilities import calibrate_probabilities
from vertegrade.settings.grading import GradingSettings
from vertegrade.tables import LABELS, LATENTS, PATIENT_SPLITS, read_table, read_tables
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    calibration = calibrate_probabilities(
        read_tables(job.input.scores, LATENTS),
        read_tables(job.input.labels, LABELS),
        read_table(job.input.splits, PATIENT_SPLITS),
        job.settings(GradingSettings),
        job.seed,
    )
    job.log.info("%s, 1/T %.3f, bias %s", calibration.scores, calibration.inverse_temperature, calibration.bias)
    write_json(job.output.probabilities, calibration.to_dict())
