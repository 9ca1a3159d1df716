"""Grade every vertebra: severity, grade probabilities, interval, novelty; and its patient."""

from vertegrade.files import read_json
from vertegrade.grading.calibration import Calibration
from vertegrade.grading.hyperplane import Hyperplane
from vertegrade.grading.novelty import Novelty
from vertegrade.grading.prediction import predict, with_novelty, with_patients
from vertegrade.tables import (
    APPEARANCE,
    LATENTS,
    PATIENT_SPLITS,
    PREDICTIONS,
    has_flag,
    read_table,
    read_tables,
    write_table,
)
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    latents = read_tables(job.input.latents, LATENTS)
    appearance = read_tables(job.input.appearance, APPEARANCE)
    splits = read_table(job.input.splits, PATIENT_SPLITS)
    hyperplane = Hyperplane.from_dict(read_json(job.input.hyperplane))
    calibration = Calibration.from_dict(read_json(job.input.calibrator))
    novelty = Novelty.from_dict(read_json(job.input.novelty))
    novelty.check(calibration)
    graded = predict(latents, hyperplane, calibration, splits, job.wildcards.method)
    judged = with_novelty(graded, latents, appearance, novelty, job.params.withhold)
    predictions = with_patients(judged, calibration)
    unlike = has_flag(predictions, "unlike_training").sum()
    job.log.info("%d of %d vertebrae are unlike the training", unlike, len(predictions))
    write_table(job.output.predictions, predictions, PREDICTIONS)
