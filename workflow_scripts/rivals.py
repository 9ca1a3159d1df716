"""Bend the crops of the drawn vertebrae to the same heights, and ask which kind of picture looks more like CT."""

import numpy as np
import pandas as pd

from vertegrade.arrays import Floats, read_array, write_array
from vertegrade.drawn_tables import COUNTERFACTUALS, LOSSES
from vertegrade.evaluation.rival import compared_crops, rival_figures, rivals
from vertegrade.files import write_json
from vertegrade.graders.dae.pixels import hounsfield, to_hu, windowed
from vertegrade.graders.dae.shown import shown_vertebrae
from vertegrade.localizer.networks import load_refiner
from vertegrade.localizer.refiner.in_crops import heights_in_images
from vertegrade.settings.dae import CounterfactualSettings, DaeModelSettings
from vertegrade.settings.evaluation import EvaluationSettings
from vertegrade.settings.spine import CropSettings
from vertegrade.tables import CROPS, KEY, LANDMARKS, MEASUREMENTS, read_table, read_tables
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    model, crop = job.settings(DaeModelSettings), job.settings(CropSettings)
    pictures = read_table(job.input.strips, COUNTERFACTUALS)
    pictures = pictures[pictures["counted"]].sort_values(["row", "picture"], ignore_index=True)
    drawn = read_array(job.input.images)[: pictures["row"].nunique(), :, model.image_channels // 2]
    measured = read_tables(job.input.measurements, MEASUREMENTS)
    measured = measured.loc[measured["evaluable"], [*KEY, "height_loss", *(c for c in measured if c.endswith("_mm"))]]
    crops = pd.concat([read_table(path, CROPS).assign(shard=n) for n, path in enumerate(job.input.crops)])
    rows = crops[crops["evaluable"]].merge(measured, on=KEY, validate="one_to_one").sort_values(KEY, ignore_index=True)
    pixels = [read_array(path) for path in job.input.pixels]
    shown = shown_vertebrae(
        pictures.drop_duplicates("row")[KEY].merge(rows, on=KEY, validate="one_to_one"),
        read_tables(job.input.landmarks, LANDMARKS),
        pixels,
        [read_array(path) for path in job.input.frames],
        crop,
        model.image_channels,
        job.seed,
    )
    count, losses = drawn.shape[1] - 2, pictures[LOSSES].to_numpy(np.float64)
    refiner = load_refiner(job.input.refiner, job.device)

    def heights(images: np.ndarray, points: Floats) -> Floats:
        return heights_in_images(images, points, crop.pixel_mm, refiner, job.device)

    rounds = job.settings(CounterfactualSettings).rounds
    bent, bent_losses = rivals(drawn[:, 0], shown, losses.reshape(-1, count, 3), heights, rounds)
    others = rows[~rows["patient_id"].isin(pictures["patient_id"])]
    others = compared_crops(others if len(others) else rows)  # one patient alone
    stacks = [pixels[row.shard][row.crop] for row in others.itertuples()]
    seen = np.array(stacks, np.int16).reshape(-1, crop.slices, crop.size, crop.size)
    seen = to_hu(windowed(hounsfield(seen, model), model), model)[:, model.image_channels // 2]
    made = {"dae": (drawn[:, 2:], losses), "warp": (bent, bent_losses)}
    made = {kind: (of.reshape(-1, *drawn.shape[2:]), lost.reshape(-1, 3)) for kind, (of, lost) in made.items()}
    figures = rival_figures(pictures, made, seen, others, job.settings(EvaluationSettings), job.seed)
    write_array(job.output.images, bent)
    write_json(job.output.figures, figures)
