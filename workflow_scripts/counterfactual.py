"""Draw test vertebrae as they would look at other grades, and measure what was drawn."""

import numpy as np
import pandas as pd

from vertegrade.arrays import read_array, write_array
from vertegrade.drawn_tables import COUNTERFACTUALS
from vertegrade.evaluation.counterfactual import counterfactual_metrics, counterfactual_table, wanted_of
from vertegrade.files import read_json, write_json
from vertegrade.graders.dae.counterfactual import counterfactuals
from vertegrade.graders.dae.instruments import instruments
from vertegrade.graders.dae.shown import shown_vertebrae
from vertegrade.graders.dae.steps import Steps
from vertegrade.graders.dae.weights import load_dae
from vertegrade.grading.calibration import Calibration
from vertegrade.grading.hyperplane import Hyperplane
from vertegrade.grading.rows import stack_latents
from vertegrade.localizer.networks import load_refiner
from vertegrade.report.spread import spread_by_severity
from vertegrade.settings.dae import CounterfactualSettings
from vertegrade.settings.spine import CropSettings
from vertegrade.tables import KEY, LANDMARKS, LATENTS, MEASUREMENTS, PREDICTIONS, read_table, read_tables, write_table
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    settings, crop = job.settings(CounterfactualSettings), job.settings(CropSettings)
    predictions = read_table(job.input.predictions, PREDICTIONS)
    measured = read_tables(job.input.measurements, MEASUREMENTS)
    measured = measured.loc[measured["evaluable"], [*KEY, "shape", *(c for c in measured if c.endswith("_mm"))]]
    latents = pd.concat([read_table(path, LATENTS).assign(shard=n) for n, path in enumerate(job.input.latents)])
    # heights are what a picture is made and judged by, so vertebrae without six points have none
    chosen = spread_by_severity(predictions.merge(measured[KEY], on=KEY), settings.vertebrae)
    steps = Steps.read(job.input.steps)
    if not steps.vertebrae:
        job.log.warning("no pictures: no two intact training vertebrae with both neighbours to learn the steps from")
        chosen = chosen[:0]
    rows = chosen[KEY].merge(latents, on=KEY, validate="one_to_one").merge(measured, on=KEY, validate="one_to_one")
    dae = load_dae(job.input.weights, job.device)
    shown = shown_vertebrae(
        rows,
        read_tables(job.input.landmarks, LANDMARKS),
        [read_array(path) for path in job.input.pixels],
        [read_array(path) for path in job.input.frames],
        crop,
        dae.settings.image_channels,
        job.seed,
    )
    by = instruments(
        Hyperplane.from_dict(read_json(job.input.hyperplane)),
        Calibration.from_dict(read_json(job.input.calibrator)),
        load_refiner(job.input.refiner, job.device),
        crop.pixel_mm,
        job.device,
    )
    wanted = wanted_of(rows["vertebra"].tolist(), rows["shape"].tolist(), settings.shapes == "all")
    pictures = counterfactuals(dae, steps, by, shown, wanted.losses, wanted.severities, settings)
    stack = [pictures.original[:, None], pictures.reconstruction[:, None], pictures.images]
    write_array(job.output.images, np.concatenate(stack, axis=1))
    training = predictions.loc[predictions["evaluable"] & (predictions["split"] == "train"), KEY]
    learned = stack_latents(training.merge(latents, on=KEY))
    table = counterfactual_table(rows, wanted, pictures, shown, steps.scale, learned)
    write_table(job.output.strips, table, COUNTERFACTUALS)
    learned_from = {name: getattr(steps, name) for name in ("vertebrae", "patients", "explained")}
    write_json(job.output.metrics, counterfactual_metrics(table, shown.noise) | {"steps": learned_from})
