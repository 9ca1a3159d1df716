"""Show a few test vertebrae as they would look at grades 0-3."""

import numpy as np
import pandas as pd

from vertegrade.arrays import read_array, write_array
from vertegrade.files import read_json
from vertegrade.graders.dae.counterfactual import counterfactuals
from vertegrade.graders.dae.weights import load_dae
from vertegrade.grading.calibration import Calibration
from vertegrade.grading.counterfactual import grade_latents
from vertegrade.grading.hyperplane import Hyperplane
from vertegrade.grading.rows import stack_latents
from vertegrade.report.spread import spread_by_severity
from vertegrade.settings.dae import CounterfactualSettings
from vertegrade.tables import GRADES, LATENTS, PREDICTIONS, read_table, write_frame
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    settings = job.settings(CounterfactualSettings)
    predictions = read_table(job.input.predictions, PREDICTIONS)
    hyperplane = Hyperplane.from_dict(read_json(job.input.hyperplane))
    calibration = Calibration.from_dict(read_json(job.input.calibrator))
    strips = spread_by_severity(predictions, settings.vertebrae)
    tables, pixels = [], []
    for latents_file, pixels_file in zip(job.input.latents, job.input.pixels, strict=True):
        latents = read_table(latents_file, LATENTS)
        chosen = latents.merge(strips[["scan_id", "vertebra"]], on=["scan_id", "vertebra"])
        tables.append(chosen)
        pixels.append(read_array(pixels_file)[chosen["crop"].to_numpy()])
    found = pd.concat(tables, ignore_index=True)
    # back from the order of the shards to that of the strips
    rows = strips.merge(found.reset_index(), on=["scan_id", "vertebra"], validate="one_to_one")["index"].to_numpy()
    z_sem = stack_latents(found)[rows]
    seen = predictions.loc[predictions["evaluable"], "signed_distance"].to_numpy()
    images = counterfactuals(
        load_dae(job.input.weights, job.device),
        np.concatenate(pixels)[rows],
        z_sem,
        grade_latents(z_sem, hyperplane, calibration, seen),
        settings.inversion_steps,
        settings.render_steps,
    )
    # (M, 2 + 4, slices, H, W): as seen, reconstructed, at grades 0-3
    stack = [images.original[:, None], images.reconstruction[:, None], images.images]
    write_array(job.output.images, np.concatenate(stack, axis=1))
    seen_again = {
        f"severity_at_{grade}": calibration.predict(hyperplane.signed_distance(z), hyperplane.normalise(z)).severity
        for grade, z in zip(GRADES, np.moveaxis(images.z_decoded, 1, 0), strict=True)
    }
    strips = strips.assign(reconstruction_error_hu=images.reconstruction_error_hu, **seen_again)
    write_frame(job.output.strips, strips)
