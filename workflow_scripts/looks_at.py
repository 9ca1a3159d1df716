"""Where in the crop the severity comes from, and what one grade changes in the three heights."""

import numpy as np
import pandas as pd

from vertegrade.arrays import read_array, write_array
from vertegrade.drawn_tables import COUNTERFACTUALS, GRADE_HEIGHTS, LOOKS_AT, LOSSES
from vertegrade.evaluation.areas import areas_in
from vertegrade.evaluation.average_intact import average_intact, intact_rows
from vertegrade.evaluation.grade_heights import grade_heights
from vertegrade.evaluation.looks_at import looks_at_metrics, looks_at_table
from vertegrade.evaluation.maps import maps_of_dae, maps_of_pca
from vertegrade.files import read_json, write_json
from vertegrade.graders.dae.attribution import Sight
from vertegrade.graders.dae.pixels import hounsfield, windowed
from vertegrade.graders.dae.shown import shown_vertebrae
from vertegrade.graders.dae.weights import load_dae
from vertegrade.graders.pca import flatten, load_pca
from vertegrade.grading.calibration import Calibration
from vertegrade.grading.hyperplane import Hyperplane
from vertegrade.grading.rows import stack_latents
from vertegrade.grading.severity_direction import severity_direction
from vertegrade.report.spread import spread_by_severity
from vertegrade.settings.dae import CounterfactualSettings
from vertegrade.settings.evaluation import EvaluationSettings
from vertegrade.settings.spine import CropSettings
from vertegrade.tables import KEY, LANDMARKS, LATENTS, MEASUREMENTS, PREDICTIONS, read_table, read_tables, write_table
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    crop, evaluation = job.settings(CropSettings), job.settings(EvaluationSettings)
    predictions = read_table(job.input.predictions, PREDICTIONS)
    measured = read_tables(job.input.measurements, MEASUREMENTS)
    measured = measured.loc[
        measured["evaluable"], [*KEY, "shape", *LOSSES, *(c for c in measured if c.endswith("_mm"))]
    ]
    directions, places = {}, pd.DataFrame()
    for method in ("pca", "dae"):
        latents = pd.concat([read_table(path, LATENTS).assign(shard=n) for n, path in enumerate(job.input[method])])
        plane = Hyperplane.from_dict(read_json(job.input[f"{method}_hyperplane"]))
        calibration = Calibration.from_dict(read_json(job.input[f"{method}_calibrator"]))
        directions[method] = severity_direction(plane, calibration, stack_latents(latents[latents["evaluable"]]))
        places = latents[[*KEY, "shard", "crop"]]  # the same of both

    graded = predictions.merge(measured, on=KEY, validate="one_to_one")
    chosen = spread_by_severity(graded, job.settings(CounterfactualSettings).vertebrae)
    intact = intact_rows(predictions).merge(places, on=KEY, validate="one_to_one")
    if not len(intact):
        job.log.warning("no maps: no vertebra is graded 0, so there is no average intact one to compare with")
        chosen = chosen[:0]
    rows = chosen.merge(places, on=KEY, validate="one_to_one")
    pixels, frames = ([read_array(path) for path in job.input[name]] for name in ("pixels", "frames"))
    landmarks = read_tables(job.input.landmarks, LANDMARKS)
    dae, pca = load_dae(job.input.weights, job.device), load_pca(job.input.components)
    shown = shown_vertebrae(rows, landmarks, pixels, frames, crop, dae.settings.image_channels, job.seed)

    def seen(crops: np.ndarray) -> np.ndarray:
        """Crops as the encoder sees them."""
        return windowed(hounsfield(crops, dae.settings), dae.settings).numpy()

    def flat(crops: np.ndarray) -> np.ndarray:
        """Crops as the PCA sees them."""
        return flatten(crops, pca.window)

    averages = [average_intact(rows["vertebra"].tolist(), intact, pixels, of) for of in (seen, flat)]
    sight = Sight(dae.network.encoder, directions["dae"], dae.device)
    maps, checks = maps_of_dae(sight, seen(shown.pixels), averages[0], crop.pixel_mm, job.seed)
    maps |= maps_of_pca(pca, directions["pca"], shown.pixels, averages[1])
    write_array(job.output.maps, np.stack([found.values for found in maps.values()], axis=1).astype(np.float32))
    areas = areas_in(rows, landmarks, frames, crop, shown)
    write_array(job.output.areas, areas)
    table = looks_at_table(rows, maps, areas)
    write_table(job.output.table, table, LOOKS_AT)
    write_json(job.output.metrics, looks_at_metrics(table, checks, evaluation, job.seed))
    test = graded[graded["evaluable"] & (graded["split"] == "test")]
    heights = grade_heights(read_table(job.input.strips, COUNTERFACTUALS), test, evaluation, job.seed)
    write_table(job.output.heights, heights, GRADE_HEIGHTS)
