"""Grade every vertebra: severity, grade probabilities, interval."""

from vertegrade.files import read_json
from vertegrade.grading.calibration import Calibration
from vertegrade.grading.hyperplane import Hyperplane
from vertegrade.grading.prediction import predict
from vertegrade.stage import run_stage
from vertegrade.tables import LATENTS, PATIENT_SPLITS, PREDICTIONS, read_table, read_tables

with run_stage(snakemake) as job:
    predictions = predict(
        read_tables(job.input.latents, LATENTS),
        Hyperplane.from_dict(read_json(job.input.hyperplane)),
        Calibration.from_dict(read_json(job.input.calibrator)),
        read_table(job.input.splits, PATIENT_SPLITS),
        job.wildcards.method,
    )
    job.write_table(job.output.predictions, predictions, PREDICTIONS)
