"""Grade every vertebra: severity, grade probabilities, interval."""

from vertegrade.files import read_json
from vertegrade.grading.calibration import Calibration
from vertegrade.grading.hyperplane import Hyperplane
from vertegrade.grading.prediction import predict
from vertegrade.tables import LATENTS, PATIENT_SPLITS, PREDICTIONS, read_table, read_tables, write_table
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    predictions = predict(
        read_tables(job.input.latents, LATENTS),
        Hyperplane.from_dict(read_json(job.input.hyperplane)),
        Calibration.from_dict(read_json(job.input.calibrator)),
        read_table(job.input.splits, PATIENT_SPLITS),
        job.wildcards.method,
    )
    write_table(job.output.predictions, predictions, PREDICTIONS)
