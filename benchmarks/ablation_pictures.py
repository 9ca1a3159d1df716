"""Pictures at other grades by each variant of benchmarks/ablation.py that can draw, made and measured by the product.

The same test vertebrae for all variants. How a variant is drawn (DDIM steps and lowest noise level) is chosen by its
copies of validation vertebrae.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import ndimage

from ablation_training import Run
from vertegrade.arrays import Floats, read_array, write_array
from vertegrade.drawn_tables import COLLAPSED_CROPS, LOSSES
from vertegrade.evaluation.bootstrap import Metric, Metrics
from vertegrade.evaluation.counterfactual import counterfactual_metrics, counterfactual_table, wanted_of
from vertegrade.evaluation.metrics import mean
from vertegrade.files import read_json, write_json
from vertegrade.graders.dae.counterfactual import Pictures, Shown, counterfactuals, outlines
from vertegrade.graders.dae.decoding import MARGIN_MM, body_masks, decode
from vertegrade.graders.dae.diffusion import ddim_levels
from vertegrade.graders.dae.encoding import encode
from vertegrade.graders.dae.instruments import instruments
from vertegrade.graders.dae.pixels import hounsfield, to_hu, windowed
from vertegrade.graders.dae.shown import shown_vertebrae
from vertegrade.graders.dae.steps import Steps, fit_steps
from vertegrade.graders.dae.weights import Dae
from vertegrade.grading.calibration import Calibration
from vertegrade.grading.hyperplane import Hyperplane
from vertegrade.grading.rows import stack_latents
from vertegrade.localizer.networks import load_refiner
from vertegrade.report.spread import spread_by_severity
from vertegrade.settings.dae import CounterfactualSettings
from vertegrade.tables import KEY, LANDMARKS, MEASUREMENTS, PREDICTIONS, read_table, read_tables, write_frame
from vertegrade.threads import fixed_threads

REFINER = Path(__file__).resolve().parents[1] / "models/localizer/vertebrae.safetensors"
WAYS = ((6, 750), (6, 0), (20, 0))  # DDIM steps and lowest level
FINE_PX = 1.0  # what a Gaussian of this standard deviation removes is fine structure
BATCH = 64


def chosen_vertebrae(run: Run, count: int, split: str) -> pd.DataFrame:
    """Vertebrae of a split with measured heights, spread over the severity that `keypoints` predicts."""
    predictions = read_table(run.results / "predictions/keypoints.parquet", PREDICTIONS)
    measured = read_tables(run.files("measurements/{}.parquet"), MEASUREMENTS)
    measured = measured.loc[measured["evaluable"], [*KEY, "shape", *(c for c in measured if c.endswith("_mm"))]]
    cropped = pd.concat([table[table["evaluable"]].assign(shard=n) for n, table in enumerate(run.crops)])
    may = predictions.merge(measured[KEY], on=KEY).merge(cropped[KEY], on=KEY)
    chosen = spread_by_severity(may, count, split)
    columns = ["patient_id", *KEY, "shard", "crop"]
    return chosen[KEY].merge(cropped[columns], on=KEY, validate="one_to_one").merge(measured, on=KEY)


def shown_of(run: Run, rows: pd.DataFrame, channels: int, seed: int) -> Shown:
    """What is drawn of these vertebrae."""
    landmarks = read_tables(run.files("landmarks/{}.parquet"), LANDMARKS)
    frames = [read_array(path) for path in run.files("crops/{}_frames.npy")]
    return shown_vertebrae(rows, landmarks, run.pixels, frames, run.crop, channels, seed)


def steps_of(run: Run, dae: Dae) -> Steps:
    """What a variant's latents change by when height is lost, from the run's collapsed crops."""
    # not by read_tables, which sorts: rows are those of the arrays
    tables = pd.concat([read_table(path, COLLAPSED_CROPS) for path in run.files("collapsed/{}.parquet")])
    z = encode(dae, [read_array(path) for path in run.files("collapsed/{}.npy")], BATCH).astype(np.float64)
    names = tables["scan_id"] + "/" + tables["vertebra"].astype(str)
    vertebra = np.unique(names.to_numpy(str), return_inverse=True)[1].astype(np.int64)
    losses = tables[list(LOSSES)].to_numpy(np.float64)
    return fit_steps(z, losses, vertebra, tables["patient_id"].to_numpy(str), dae.sha256)


def best_way(run: Run, dae: Dae, vertebrae: int, seed: int) -> tuple[tuple[int, int], dict[str, float]]:
    """The way of drawing whose copies of validation vertebrae are nearest to them, and the error of each, HU."""
    shown = shown_of(run, chosen_vertebrae(run, vertebrae, "validation"), dae.settings.image_channels, seed)
    crops = windowed(hounsfield(shown.pixels, dae.settings), dae.settings)
    z = encode(dae, [shown.pixels], BATCH).astype(np.float64)
    masks = body_masks(outlines(shown), shown.pixels.shape[-1], shown.pixel_mm, MARGIN_MM)
    errors = {}
    for way in WAYS:
        drawn = to_hu(decode(dae, crops, shown.noise, masks, z, ddim_levels(*way)), dae.settings)
        apart = (drawn - to_hu(crops, dae.settings).astype(float)) ** 2
        errors[way] = float(np.sqrt((apart * masks[:, None]).sum() / masks.sum()))
    named = {f"{steps} steps to level {lowest}": error for (steps, lowest), error in errors.items()}
    return min(errors, key=lambda way: errors[way]), named


def draw_variant(run: Run, latents: pd.DataFrame, vertebrae: int, seed: int, dae: Dae, stem: Path) -> None:
    """Draw and measure test vertebrae at all grades; writes `NAME.pictures.parquet`, `.npy` and `.json`."""
    plane = Hyperplane.from_dict(read_json(stem.with_name(f"{stem.name}-100.hyperplane.json")))
    calibration = Calibration.from_dict(read_json(stem.with_name(f"{stem.name}-100.calibrator.json")))
    by = instruments(plane, calibration, load_refiner(REFINER, "cpu"), run.crop.pixel_mm, "cpu")
    with fixed_threads():
        way, errors = best_way(run, dae, vertebrae, seed)
        settings = CounterfactualSettings(render_steps=way[0], lowest_level=way[1])
        rows = chosen_vertebrae(run, vertebrae, "test")
        shown = shown_of(run, rows, dae.settings.image_channels, seed)
        wanted = wanted_of(rows["vertebra"].tolist(), rows["shape"].tolist(), False)
        steps = steps_of(run, dae)
        pictures = counterfactuals(dae, steps, by, shown, wanted.losses, wanted.severities, settings)
    train = set(run.splits.loc[run.splits["split"] == "train", "patient_id"])
    learned = stack_latents(latents[latents["evaluable"] & latents["patient_id"].isin(train)])
    table = counterfactual_table(rows, wanted, pictures, shown, steps.scale, learned)
    facts = counterfactual_metrics(table, shown.noise) | {"steps_explained": steps.explained}
    facts |= {"way": list(way), "copy_error_hu_validation": errors, "fine_structure": fine_structure(pictures, shown)}
    write_frame(stem.with_name(f"{stem.name}.pictures.parquet"), table)
    drawn = [pictures.original[:, None], pictures.reconstruction[:, None], pictures.images]
    write_array(stem.with_name(f"{stem.name}.pictures.npy"), np.concatenate(drawn, axis=1))
    write_json(stem.with_name(f"{stem.name}.pictures.json"), facts)


def fine_structure(pictures: Pictures, shown: Shown) -> dict[str, float]:
    """Standard deviation (HU) of what is finer than FINE_PX within the body: of the CT and of all pictures."""
    masks = body_masks(outlines(shown), shown.pixels.shape[-1], shown.pixel_mm) > 0.5

    def fine(images: Floats, where: np.ndarray) -> float:
        blurred = ndimage.gaussian_filter(images, (0,) * (images.ndim - 2) + (FINE_PX, FINE_PX))
        return float((images - blurred)[np.broadcast_to(where, images.shape)].std())

    drawn = pictures.images.astype(np.float64)
    return {
        "ct": fine(pictures.original.astype(np.float64), masks[:, None]),
        "pictures": fine(drawn, masks[:, None, None]),
    }


def picture_metrics(table: pd.DataFrame) -> Metrics:
    """Of COUNTERFACTUALS: shares and means over all pictures, and of what is asked for as a fracture."""
    fractured = table["wanted_grade"].to_numpy() >= 1
    values = {
        "within_8_points": (table["reached"].to_numpy(np.float64), fractured),
        "severity_gap": ((table["severity"] - table["wanted_severity"]).abs().to_numpy(), fractured),
        "outside_to_inside": (table["outside_to_inside"].to_numpy(), fractured),
        "copy_error_hu": (table["reconstruction_error_hu"].to_numpy(), ~fractured),
        "return_error_hu": (table["return_error_hu"].to_numpy(), fractured),
        "identity_kept": (table["returns"].to_numpy(np.float64), fractured),
    }

    def metrics(weights: Floats) -> dict[str, Metric]:
        return {
            name: Metric(mean(value[where], weights[:, where]), (int(where.sum()),))
            for name, (value, where) in values.items()
        }

    return metrics


def read_facts(stem: Path) -> dict[str, Any]:
    """What `draw_variant` wrote."""
    facts: dict[str, Any] = read_json(stem.with_name(f"{stem.name}.pictures.json"))
    return facts
