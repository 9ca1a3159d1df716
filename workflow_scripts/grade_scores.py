"""Grade every vertebra by a method's own grade probabilities: severity, interval; and its patient."""

from vertegrade.files import read_json
from vertegrade.grading.prediction import with_patients
from vertegrade.grading.probabilities import ProbabilityCalibration, predict_probabilities
from vertegrade.tables import LATENTS, PATIENT_SPLITS, PREDICTIONS, read_table, read_tables, write_table
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    calibration = ProbabilityCalibration.from_dict(read_json(job.input.probabilities))
    scores, splits = read_tables(job.input.scores, LATENTS), read_table(job.input.splits, PATIENT_SPLITS)
    graded = predict_probabilities(scores, calibration, splits, job.wildcards.method)
    write_table(job.output.predictions, with_patients(graded, calibration), PREDICTIONS)
