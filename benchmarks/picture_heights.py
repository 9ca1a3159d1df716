"""Heights of the pictures at other grades, measured by something that neither drew nor corrected them.

    .venv/bin/python benchmarks/picture_heights.py results OUT.json

`counterfactual` corrects its pictures by the network that measures heights, and reports what that network measures.
Here each endplate is found again without a network: the profile along a column of the vertebra, across the endplate, is
looked for in the picture (normalised cross-correlation, in steps of 0.1 mm), and how far it moved is what the column
lost. What that is worth is measured first, on VIRTUAL collapses of the run's own intact vertebrae, whose loss is known,
beside the network on the same crops. Results: docs/results/counterfactuals.md.
"""

import argparse
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from scipy import ndimage, stats
from torch import nn

from trained_on_grades import merged
from vertegrade.arrays import Floats, generator_of, read_array
from vertegrade.ct.volume import read_volume
from vertegrade.drawn_tables import COUNTERFACTUALS, LOSSES
from vertegrade.evaluation.counterfactual import WITHIN
from vertegrade.files import write_json
from vertegrade.grading.counterfactual import MIDDLE_OF_GRADE
from vertegrade.localizer.networks import load_refiner
from vertegrade.localizer.refiner.in_crops import heights_in_images
from vertegrade.report.montage import mid_sagittal
from vertegrade.settings.loading import check_settings
from vertegrade.settings.spine import CropSettings
from vertegrade.spine.straighten import mm_to_crop
from vertegrade.tables import CROPS, GRADES, HEIGHTS, KEY, LANDMARKS, MEASUREMENTS, SCANS, points_of, read_table
from vertegrade.virtual_fractures.crops import CollapsedCrop, collapsed_crops

STEP_MM = 0.1
# Chosen on VIRTUAL collapses in real scans, where longer profiles and the steepest edge instead were twice as wrong.
OUTSIDE_MM, INSIDE_MM = 1.5, 2.0  # of the profile that is looked for, beyond the endplate and within the body
HALF_WIDTH_MM = 1.5  # of the band that is averaged, across the column
RISES_MM, FALLS = 2.0, 0.45  # how far an endplate may seem to move outwards, and inwards as a share of the height
COLLAPSED = 6  # vertebrae per scan


def band(image: np.ndarray, end: Floats, inwards: Floats, reach: Floats, pixel_mm: float) -> Floats:
    """Mean profile of an image along `reach` (mm, positive into the body) from an end (row, column) of a column."""
    across = np.array([-inwards[1], inwards[0]])
    sides = np.arange(-HALF_WIDTH_MM, HALF_WIDTH_MM + 0.1, 0.5)
    places = end[:, None, None] + (inwards[:, None, None] * reach + across[:, None, None] * sides[:, None]) / pixel_mm
    return ndimage.map_coordinates(image.astype(np.float64), places, order=1, mode="nearest").mean(axis=0)


def moved(before: np.ndarray, after: np.ndarray, end: Floats, other: Floats, pixel_mm: float) -> float:
    """How far in mm an endplate moved towards the other end of its column, from one image to another."""
    height = float(np.linalg.norm(other - end)) * pixel_mm
    inwards = (other - end) / np.linalg.norm(other - end)
    wanted = band(before, end, inwards, np.arange(-OUTSIDE_MM, INSIDE_MM, STEP_MM), pixel_mm)
    reach = np.arange(-OUTSIDE_MM - RISES_MM, INSIDE_MM + FALLS * height, STEP_MM)
    there = np.lib.stride_tricks.sliding_window_view(band(after, end, inwards, reach, pixel_mm), len(wanted))
    wanted, there = wanted - wanted.mean(), there - there.mean(axis=1, keepdims=True)
    size = np.linalg.norm(there, axis=1) * np.linalg.norm(wanted)
    return float(np.argmax(there @ wanted / np.maximum(size, 1e-9)) * STEP_MM - RISES_MM)


def lost_mm(before: np.ndarray, after: np.ndarray, points: Floats, pixel_mm: float) -> Floats:
    """What the three columns (3,) lost in mm between images (H, W). points: (6, 2), in the order of tables.POINTS."""
    ends = points.reshape(len(HEIGHTS), 2, 2)
    return np.array(
        [
            moved(before, after, upper, lower, pixel_mm) + moved(before, after, lower, upper, pixel_mm)
            for upper, lower in ends
        ]
    )


def points_in_crops(results: Path, shard: str, crop: CropSettings) -> pd.DataFrame:
    """KEY, `points` (6, 2: row, column), place and measured heights of a shard's vertebrae whose crop is good."""
    shape = (crop.slices, crop.size, crop.size)
    frames = read_array(results / f"crops/{shard}_frames.npy")
    measured = read_table(results / f"measurements/{shard}.parquet", MEASUREMENTS)
    crops = read_table(results / f"crops/{shard}.parquet", CROPS)
    table = measured.loc[measured["evaluable"]].merge(crops.loc[crops["evaluable"], [*KEY, "crop"]], on=KEY)
    six = points_of(table[KEY].merge(read_table(results / f"landmarks/{shard}.parquet", LANDMARKS), on=KEY))
    table["points"] = [
        mm_to_crop(mm, frames[place], shape, crop.pixel_mm, crop.slice_spacing_mm)[:, 1:]
        for mm, place in zip(six, table["crop"], strict=True)
    ]
    return table


def known_losses(
    results: Path, shard: str, known: pd.DataFrame, crop: CropSettings, refiner: nn.Module
) -> pd.DataFrame:
    """A row per VIRTUAL collapse and column: the true loss, and what profiles and network measure."""
    scans = read_table(results / f"ct/{shard}.parquet", SCANS).set_index("scan_id")
    landmarks = read_table(results / f"landmarks/{shard}.parquet", LANDMARKS)
    frames = read_array(results / f"crops/{shard}_frames.npy")
    rows: list[dict[str, Any]] = []
    for scan_id, of in known.groupby("scan_id", sort=True):
        made = collapsed_crops(
            generator_of(f"picture heights/{scan_id}"),
            read_volume(results / f"ct/{shard}/{scan_id}_ct.nii.gz"),
            landmarks[landmarks["scan_id"] == scan_id],
            of,
            {row.vertebra: frames[row.crop] for row in of.itertuples()},
            crop,
            float(scans.loc[scan_id, "slice_thickness_mm"]),
            COLLAPSED,
        )
        points = dict(zip(of["vertebra"], of["points"], strict=True))
        for vertebra, pair in groupby(made, lambda crop: crop.vertebra):
            rows += measured_pairs(list(pair), points[vertebra], crop.pixel_mm, refiner)
    return pd.DataFrame(rows)


def measured_pairs(
    made: list[CollapsedCrop], points: Floats, pixel_mm: float, refiner: nn.Module
) -> list[dict[str, Any]]:
    """Rows of `known_losses` of one vertebra, as it is (first) and collapsed."""
    images = mid_sagittal(np.stack([crop.pixels for crop in made]))
    seen = heights_in_images(images, np.stack([points] * len(made)), pixel_mm, refiner, "cpu")
    own = np.linalg.norm(np.diff(points.reshape(3, 2, 2), axis=1)[:, 0], axis=1) * pixel_mm
    rows = []
    for crop, image, heights in zip(made[1:], images[1:], seen[1:], strict=True):
        ways = {"true": crop.loss, "profiles": lost_mm(images[0], image, points, pixel_mm) / own}
        ways["network"] = 1 - heights / seen[0]
        rows += [{"shape": crop.shape} | {by: of[column] for by, of in ways.items()} for column in range(len(HEIGHTS))]
    return rows


def pictures(results: Path, known: pd.DataFrame, pixel_mm: float) -> pd.DataFrame:
    """COUNTERFACTUALS with `profiles`: the largest loss of the columns as the profiles tell it."""
    strips = read_table(results / "counterfactual/strips.parquet", COUNTERFACTUALS)
    strips = strips[strips["counted"]]
    images = mid_sagittal(read_array(results / "counterfactual/images.npy"))
    table = strips.merge(known[[*KEY, "points", *(c for c in known if c.endswith("_mm"))]], on=KEY, how="left")
    losses = []
    for row in table.to_dict("records"):
        gone = lost_mm(images[row["row"], 0], images[row["row"], 2 + row["picture"]], row["points"], pixel_mm)
        now = np.array([row[f"height_{column}_mm"] for column in HEIGHTS]) - gone
        losses.append(1 - now / np.array([row[f"intact_height_{column}_mm"] for column in HEIGHTS]))
    return table.assign(
        **{f"profiles_{name}": values for name, values in zip(LOSSES, np.transpose(losses), strict=True)}
    )


def worth(pairs: pd.DataFrame, by: str) -> dict[str, float]:
    """How well a way measures known losses."""
    error = pairs[by] - pairs["true"]
    return {
        "mean_error": float(error.abs().mean()),
        "median_error": float(error.abs().median()),
        "bias": float(error.mean()),
        "within_8_points": float((error.abs() <= WITHIN).mean()),
        "correlation": float(stats.spearmanr(pairs[by], pairs["true"]).statistic),
    }


def grades_of(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """By grade asked: the loss as both ways measure it."""
    wanted = table[[f"wanted_{name}" for name in LOSSES]].to_numpy()
    # the column that was asked to lose most, so that noise of the two others cannot pass for loss
    asked = table[[f"profiles_{name}" for name in LOSSES]].to_numpy()[np.arange(len(table)), wanted.argmax(axis=1)]
    out = {}
    for grade in GRADES:
        of = (table["wanted_grade"] == grade).to_numpy()
        middle = MIDDLE_OF_GRADE[grade]
        out[str(grade)] = {
            "pictures": int(of.sum()),
            "middle": middle,
            "network_mean": float(table["height_loss"][of].mean()),
            "profiles_mean": float(asked[of].mean()),
            "profiles_median": float(np.median(asked[of])),
            "network_within_8_points": float((table["height_loss"][of] - middle).abs().le(WITHIN).mean()),
            "profiles_within_8_points": float((np.abs(asked[of] - middle) <= WITHIN).mean()),
            "profiles_at_least_40_percent": float((asked[of] >= 0.40).mean()),
        }
    return out


def in_order(table: pd.DataFrame) -> float:
    """Share of strips whose losses rise from grade to grade, in the column that is asked to lose most at grade 3."""
    right = []
    for _, of in table.groupby(["row"]):
        of = of.sort_values("wanted_grade").groupby("wanted_grade").first()
        name = LOSSES[int(of.iloc[-1][[f"wanted_{n}" for n in LOSSES]].to_numpy(float).argmax())]
        right.append(bool((np.diff(of[f"profiles_{name}"]) > 0).all()))
    return float(np.mean(right))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--config", type=Path, nargs="*", default=[], help="config files of the run over the defaults")
    given = parser.parse_args()
    config: dict[str, Any] = {}
    for file in given.config:
        config = merged(config, yaml.safe_load(file.read_text(encoding="utf-8")))
    of_run = check_settings(config)
    network = load_refiner("models/localizer/vertebrae.safetensors", "cpu")
    shards = sorted({path.stem.removesuffix("_scans") for path in (given.results / "landmarks").glob("*.parquet")})
    vertebrae = [points_in_crops(given.results, shard, of_run.crop) for shard in shards]
    drawn = pictures(given.results, pd.concat(vertebrae), of_run.crop.pixel_mm)
    shown = [of[of["scan_id"].isin(drawn["scan_id"])] for of in vertebrae]
    tested = pd.concat(
        known_losses(given.results, shard, of, of_run.crop, network) for shard, of in zip(shards, shown, strict=True)
    )
    found = {
        "known_losses": {
            "crops": len(tested) // len(HEIGHTS),
            "all": {by: worth(tested, by) for by in ("profiles", "network")},
            **{shape: {by: worth(of, by) for by in ("profiles", "network")} for shape, of in tested.groupby("shape")},
        },
        "pictures": grades_of(drawn),
        "order_right": in_order(drawn),
    }
    write_json(given.out, found)
    print(given.out.read_text(encoding="utf-8"))
