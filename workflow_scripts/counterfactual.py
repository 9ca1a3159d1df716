"""Draw test vertebrae as they would look at other grades, and measure what was drawn."""

import numpy as np
import pandas as pd

from vertegrade.arrays import read_array, write_array
from vertegrade.evaluation.counterfactual import counterfactual_metrics, counterfactual_table, wanted_of
from vertegrade.files import read_json, write_json
from vertegrade.graders.dae.counterfactual import Shown, counterfactuals
from vertegrade.graders.dae.decoding import noise_of
from vertegrade.graders.dae.instruments import instruments
from vertegrade.graders.dae.steps import Steps
from vertegrade.graders.dae.weights import load_dae
from vertegrade.grading.calibration import Calibration
from vertegrade.grading.hyperplane import Hyperplane
from vertegrade.localizer.networks import load_refiner
from vertegrade.report.spread import spread_by_severity
from vertegrade.settings.dae import CounterfactualSettings
from vertegrade.settings.spine import CropSettings
from vertegrade.spine.straighten import mm_to_crop
from vertegrade.tables import (
    COUNTERFACTUALS,
    HEIGHTS,
    KEY,
    LANDMARKS,
    LATENTS,
    MEASUREMENTS,
    PREDICTIONS,
    points_of,
    read_table,
    read_tables,
    write_table,
)
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    settings, crop = job.settings(CounterfactualSettings), job.settings(CropSettings)
    predictions = read_table(job.input.predictions, PREDICTIONS)
    measured = read_tables(job.input.measurements, MEASUREMENTS)
    measured = measured.loc[measured["evaluable"], [*KEY, "shape", *(c for c in measured if c.endswith("_mm"))]]
    landmarks = read_tables(job.input.landmarks, LANDMARKS)
    # heights are what a picture is made and judged by, so vertebrae without six points have none
    chosen = spread_by_severity(predictions.merge(measured[KEY], on=KEY), settings.vertebrae)
    steps = Steps.read(job.input.steps)
    if not steps.vertebrae:
        job.log.warning("no pictures: no two intact training vertebrae with both neighbours to learn the steps from")
        chosen = chosen[:0]
    latents = [read_table(path, LATENTS).assign(shard=n) for n, path in enumerate(job.input.latents)]
    rows = chosen[KEY].merge(pd.concat(latents), on=KEY, validate="one_to_one")
    rows = rows.merge(measured, on=KEY, validate="one_to_one")
    pixels = [read_array(path) for path in job.input.pixels]
    frames = [read_array(path) for path in job.input.frames]
    places = list(zip(rows["shard"], rows["crop"], strict=True))
    six = points_of(rows[KEY].merge(landmarks, on=KEY, validate="one_to_one"))
    shape = (crop.slices, crop.size, crop.size)
    points = [
        mm_to_crop(mm, frames[shard][row], shape, crop.pixel_mm, crop.slice_spacing_mm)[:, 1:]
        for mm, (shard, row) in zip(six, places, strict=True)
    ]
    dae = load_dae(job.input.weights, job.device)
    refiner = load_refiner(job.input.refiner, job.device)
    hyperplane = Hyperplane.from_dict(read_json(job.input.hyperplane))
    calibration = Calibration.from_dict(read_json(job.input.calibrator))
    names = [f"{row.scan_id}/{row.vertebra}" for row in rows.itertuples()]
    noise = noise_of(names, job.seed, (dae.settings.image_channels, crop.size, crop.size))
    shown = Shown(
        np.array([pixels[shard][row] for shard, row in places], np.int16).reshape(-1, *shape),
        np.array(points).reshape(-1, 6, 2),
        rows[[f"height_{column}_mm" for column in HEIGHTS]].to_numpy(np.float64),
        rows[[f"intact_height_{column}_mm" for column in HEIGHTS]].to_numpy(np.float64),
        noise,
        crop.pixel_mm,
    )
    wanted = wanted_of(rows["vertebra"].tolist(), rows["shape"].tolist(), settings.shapes == "all")
    by = instruments(hyperplane, calibration, refiner, crop.pixel_mm, job.device)
    pictures = counterfactuals(dae, steps, by, shown, wanted.losses, wanted.severities, settings)
    write_array(
        job.output.images,
        np.concatenate([pictures.original[:, None], pictures.reconstruction[:, None], pictures.images], axis=1),
    )
    training = predictions.loc[predictions["evaluable"] & (predictions["split"] == "train"), KEY]
    learned = np.stack(training.merge(pd.concat(latents), on=KEY)["z"].to_list()) if len(training) else None
    table = counterfactual_table(rows, wanted, pictures, shown, steps.scale, learned)
    write_table(job.output.strips, table, COUNTERFACTUALS)
    learned_from = {name: getattr(steps, name) for name in ("vertebrae", "patients", "explained")}
    write_json(job.output.metrics, counterfactual_metrics(table, noise) | {"steps": learned_from})
