"""Which way to see where the severity comes from is to be trusted: maps compared on vertebrae whose answer is known.

    .venv/bin/python benchmarks/looks_at.py RESULTS

RESULTS is a finished run with the rules' `crops/`, `collapsed/`, `latents/`, `predictions/`, `grading/`, `dae/`. Two
things are measured with 60 vertebrae each, on one thread, in two minutes:

- validation vertebrae, spread over severity: how well each map foretells what happens to the severity where random
  parts of the crop become those of the average intact vertebra, or of the same crop blurred by 4 mm; and what blurring
  leaves of the severity;
- VIRTUAL collapses of training vertebrae, where nothing but the body and its discs was changed: how much of what
  changes in a map lies where the crop was changed.

Test patients are not looked at. Results: docs/results/counterfactuals.md.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import ndimage

from vertegrade.arrays import Floats, Floats32, read_array
from vertegrade.drawn_tables import COLLAPSED_CROPS
from vertegrade.evaluation.average_intact import average_intact, intact_rows
from vertegrade.files import read_json
from vertegrade.graders.dae.attribution import (
    Sight,
    agreement,
    as_coarse_as_occlusion,
    integrated_gradients,
    occlusion,
)
from vertegrade.graders.dae.pixels import hounsfield, windowed
from vertegrade.graders.dae.weights import load_dae
from vertegrade.grading.calibration import Calibration
from vertegrade.grading.hyperplane import Hyperplane
from vertegrade.grading.rows import stack_latents
from vertegrade.grading.severity_direction import severity_direction
from vertegrade.report.spread import spread_by_severity
from vertegrade.settings.dae import DaeModelSettings
from vertegrade.tables import KEY, LATENTS, PREDICTIONS, read_table

COUNT, BLUR_MM, CHANGED_HU, SEED = 60, 4.0, 10.0, 0


def seen_by(settings: DaeModelSettings) -> Callable[[np.ndarray], Floats32]:
    """From crops int16 (N, S, H, W) to images as the encoder sees them."""
    return lambda crops: windowed(hounsfield(crops, settings), settings).numpy()


def plain_gradient(sight: Sight, images: Floats32, _: Floats32) -> Floats:
    """The gradient at the image alone."""
    return sight.gradients(images).astype(np.float64).sum(axis=1)


def compare(sight: Sight, images: Floats32, averages: Floats32, pixel_mm: float) -> None:
    """Print agreement and time of each way, for both kinds of replacement."""
    sd = BLUR_MM / pixel_mm
    blurred = ndimage.gaussian_filter(images, (0, 0, sd, sd))
    before, after = (sight.scores(of) - sight.scores(averages) for of in (images, blurred))
    severe = before > np.median(before)
    print(f"blurred by {BLUR_MM:g} mm: {after[severe].mean() / before[severe].mean():.2f} of the severity is left")
    ways: dict[str, Callable[[Floats32], Floats]] = {
        "gradient": lambda to: integrated_gradients(sight, images, to),
        "occlusion": lambda to: occlusion(sight, images, to, pixel_mm),
        "plain gradient": lambda to: plain_gradient(sight, images, to),
    }
    maps = {}
    for name, way in ways.items():
        for reference, to in (("average", averages), ("blurred", blurred)):
            start = time.process_time()
            maps[f"{name}, {reference}"] = way(to)
            print(f"{name} against {reference}: {time.process_time() - start:.1f} s of CPU")
    for reference, to in (("average", averages), ("blurred", blurred)):
        found = agreement(sight, images, to, maps, pixel_mm, np.random.default_rng(SEED))
        for name, values in found.items():
            print(f"parts replaced by {reference}: {name} agrees {values.mean():.2f}")


def known_changes(sight: Sight, pairs: list[Floats32], averages: Floats32, pixel_mm: float, window_hu: float) -> None:
    """Print where maps change between crops before and after a VIRTUAL collapse. pairs: two (N, C, H, W)."""
    changed = np.abs(pairs[1] - pairs[0]).max(axis=1) > 2 * CHANGED_HU / window_hu
    changed = np.array([ndimage.binary_dilation(of) for of in changed])
    print(f"VIRTUAL collapses: {changed.mean():.2f} of the crop was changed")
    gradient = np.subtract(*(integrated_gradients(sight, images, averages) for images in pairs[::-1]))
    ways = {
        "gradient": gradient,
        "gradient, as coarse as occlusion": as_coarse_as_occlusion(gradient, pixel_mm),
        "occlusion": np.subtract(*(occlusion(sight, images, averages, pixel_mm) for images in pairs[::-1])),
    }
    for name, change in ways.items():
        size = np.abs(change)
        share = ((size * changed).sum(axis=(1, 2)) / size.sum(axis=(1, 2))).mean()
        print(f"VIRTUAL collapses: {share:.2f} of what changes by {name} lies there")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--pixel-mm", type=float, default=0.75, help="crop.pixel_mm of the run")
    options = parser.parse_args()
    folder = options.results
    shards = sorted(folder.glob("latents/dae/*.parquet"), key=lambda path: int(path.stem))
    latents = pd.concat([read_table(path, LATENTS).assign(shard=n) for n, path in enumerate(shards)])
    dae = load_dae(folder / "dae/weights.safetensors")
    direction = severity_direction(
        Hyperplane.from_dict(read_json(folder / "grading/dae/hyperplane.json")),
        Calibration.from_dict(read_json(folder / "grading/dae/calibrator.json")),
        stack_latents(latents[latents["evaluable"]]),
    )
    sight, seen = Sight(dae.network.encoder, direction, dae.device), seen_by(dae.settings)
    predictions = read_table(folder / "predictions/dae.parquet", PREDICTIONS)
    places = latents[[*KEY, "shard", "crop"]]
    intact = intact_rows(predictions).merge(places, on=KEY)
    pixels = [read_array(folder / f"crops/{path.stem}.npy") for path in shards]

    rows = spread_by_severity(predictions, COUNT, "validation").merge(places, on=KEY)
    images = seen(np.array([pixels[shard][crop] for shard, crop in zip(rows["shard"], rows["crop"], strict=True)]))
    compare(sight, images, average_intact(rows["vertebra"].tolist(), intact, pixels, seen), options.pixel_mm)

    tables = [read_table(folder / f"collapsed/{path.stem}.parquet", COLLAPSED_CROPS) for path in shards]
    crops = [read_array(folder / f"collapsed/{path.stem}.npy") for path in shards]
    made = pd.concat([table.assign(shard=n) for n, table in enumerate(tables)], ignore_index=True)
    sound = made.loc[made["shape"] == "", [*KEY, "crop"]]
    both = made[made["shape"] != ""].merge(sound, on=KEY, suffixes=("_after", "_before"))
    both = both.sample(min(COUNT, len(both)), random_state=SEED)
    pairs = [
        seen(np.array([crops[shard][crop] for shard, crop in zip(both["shard"], both[f"crop_{when}"], strict=True)]))
        for when in ("before", "after")
    ]
    averages = average_intact(both["vertebra"].tolist(), intact, pixels, seen)
    known_changes(sight, pairs, averages, options.pixel_mm, dae.settings.hu_high - dae.settings.hu_low)


if __name__ == "__main__":
    main()
