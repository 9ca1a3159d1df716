"""Draw vertebrae as they would look at other grades, and measure what was drawn.

Test vertebrae, which the figures are of; and beside them suspicious ones of any split, for the pages of the patients.
"""

import numpy as np
import pandas as pd

from vertegrade.arrays import Floats, read_array, write_array
from vertegrade.drawn_tables import COUNTERFACTUALS
from vertegrade.evaluation.counterfactual import counterfactual_metrics, counterfactual_table, wanted_of
from vertegrade.files import read_json, write_json
from vertegrade.graders.dae.counterfactual import Pictures, Shown, counterfactuals
from vertegrade.graders.dae.instruments import instruments
from vertegrade.graders.dae.shown import shown_vertebrae
from vertegrade.graders.dae.steps import Steps
from vertegrade.graders.dae.weights import load_dae
from vertegrade.grading.calibration import Calibration
from vertegrade.grading.hyperplane import Hyperplane
from vertegrade.grading.rows import stack_latents
from vertegrade.localizer.networks import load_refiner
from vertegrade.report.spread import spread_by_severity, suspicious_vertebrae
from vertegrade.settings.dae import CounterfactualSettings
from vertegrade.settings.spine import CropSettings
from vertegrade.tables import (
    GRADE_TABLE,
    KEY,
    LANDMARKS,
    LATENTS,
    MEASUREMENTS,
    PREDICTIONS,
    read_table,
    read_tables,
    write_table,
)
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    settings, crop = job.settings(CounterfactualSettings), job.settings(CropSettings)
    predictions = read_table(job.input.predictions, PREDICTIONS)
    grades = read_table(job.input.grades, GRADE_TABLE)
    measured = read_tables(job.input.measurements, MEASUREMENTS)
    measured = measured.loc[measured["evaluable"], [*KEY, "shape", *(c for c in measured if c.endswith("_mm"))]]
    latents = pd.concat([read_table(path, LATENTS).assign(shard=n) for n, path in enumerate(job.input.latents)])
    # heights are what a picture is made and judged by, so vertebrae without six points have none
    chosen = spread_by_severity(predictions.merge(measured[KEY], on=KEY), settings.vertebrae)[KEY]
    drawable = measured[KEY].merge(latents.loc[latents["evaluable"], KEY], on=KEY)
    more = grades.merge(drawable, on=KEY).merge(chosen.assign(drawn=True), on=KEY, how="left")
    more = suspicious_vertebrae(more[more["drawn"].isna()])[KEY]
    if len(more) > settings.suspicious:
        job.log.warning(
            "%d suspicious vertebrae, of which %d are drawn, the worst first; the others have no pictures on the pages "
            "of their patients: raise dae.counterfactual.suspicious to draw them",
            len(more),
            settings.suspicious,
        )
    more = more[: settings.suspicious]
    steps = Steps.read(job.input.steps)
    if not steps.vertebrae:
        job.log.warning("no pictures: no two intact training vertebrae with both neighbours to learn the steps from")
        chosen, more = chosen[:0], more[:0]
    landmarks = read_tables(job.input.landmarks, LANDMARKS)
    pixels, frames = ([read_array(path) for path in job.input[name]] for name in ("pixels", "frames"))
    dae = load_dae(job.input.weights, job.device)
    by = instruments(
        Hyperplane.from_dict(read_json(job.input.hyperplane)),
        Calibration.from_dict(read_json(job.input.calibrator)),
        load_refiner(job.input.refiner, job.device),
        crop.pixel_mm,
        job.device,
    )
    training = predictions.loc[predictions["evaluable"] & (predictions["split"] == "train"), KEY]
    learned = stack_latents(training.merge(latents, on=KEY))

    def drawn(keys: pd.DataFrame, beside: Floats | None = None) -> tuple[pd.DataFrame, Pictures, Shown]:
        """COUNTERFACTUALS and pictures of vertebrae by their KEY; beside: see `counterfactual_table`."""
        rows = keys.merge(latents, on=KEY, validate="one_to_one").merge(measured, on=KEY, validate="one_to_one")
        shown = shown_vertebrae(rows, landmarks, pixels, frames, crop, dae.settings.image_channels, job.seed)
        wanted = wanted_of(rows["vertebra"].tolist(), rows["shape"].tolist(), settings.shapes == "all")
        pictures = counterfactuals(dae, steps, by, shown, wanted.losses, wanted.severities, settings)
        return counterfactual_table(rows, wanted, pictures, shown, steps.scale, learned, beside), pictures, shown

    # drawn by themselves, so that what the figures are of does not depend on who else is suspicious
    table, pictures, shown = drawn(chosen)
    others, of_others, _ = drawn(more, pictures.own)
    stacks = [
        np.concatenate([of.original[:, None], of.reconstruction[:, None], of.images], axis=1)
        for of in (pictures, of_others)
    ]
    write_array(job.output.images, np.concatenate(stacks))
    write_table(job.output.strips, pd.concat([table, others], ignore_index=True), COUNTERFACTUALS)
    learned_from = {name: getattr(steps, name) for name in ("vertebrae", "patients", "explained")}
    write_json(job.output.metrics, counterfactual_metrics(table, shown.noise) | {"steps": learned_from})
    job.log.info("%d test vertebrae drawn, and %d suspicious ones beside them", len(chosen), len(more))
