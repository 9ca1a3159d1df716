"""Heights of the pictures at other grades, measured by something that neither drew nor corrected them.

    .venv/bin/python benchmarks/picture_heights.py results OUT.json

`counterfactual` corrects its pictures by the network that measures heights, and reports what that network measures.
Here each endplate is found again without a network: the profile along a column of the vertebra, across the endplate, is
looked for in the picture (normalised cross-correlation, to a tenth of a pixel), and how far it moved is what the column
lost. What that is worth is measured first, on the crops of training vertebrae before and after a VIRTUAL collapse
(`collapsed/`), whose loss is known, beside the network on the same crops. Results: docs/results/counterfactuals.md.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from scipy import ndimage, stats

from trained_on_grades import merged
from vertegrade.arrays import Floats, read_array
from vertegrade.drawn_tables import COLLAPSED_CROPS, COUNTERFACTUALS, LOSSES
from vertegrade.files import write_json
from vertegrade.grading.counterfactual import MIDDLE_OF_GRADE
from vertegrade.localizer.networks import load_refiner
from vertegrade.localizer.refiner.in_crops import heights_in_images
from vertegrade.report.montage import mid_sagittal
from vertegrade.settings import Settings
from vertegrade.settings.loading import check_settings
from vertegrade.spine.straighten import mm_to_crop
from vertegrade.tables import CROPS, GRADES, HEIGHTS, KEY, LANDMARKS, MEASUREMENTS, points_of, read_table

STEP_MM = 0.1
OUTSIDE_MM, INSIDE_MM = 4.0, 3.0  # of the profile that is looked for, beyond the endplate and within the body
HALF_WIDTH_MM = 2.0  # of the band that is averaged, across the column
RISES_MM, FALLS = 2.0, 0.75  # how far an endplate may seem to move outwards, and inwards as a share of the height
WITHIN = 0.08


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


def points_in_crops(results: Path, shard: str, settings: Settings) -> pd.DataFrame:
    """KEY, `points` (6, 2: row, column) and measured heights of a shard's vertebrae whose crop is good."""
    crop = settings.crop
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


def collapsed(results: Path, shard: str, known: pd.DataFrame, settings: Settings, refiner: Any) -> pd.DataFrame:
    """A row per collapsed crop and column: true loss, by profiles, and by the network."""
    table = read_table(results / f"collapsed/{shard}.parquet", COLLAPSED_CROPS)
    images = mid_sagittal(read_array(results / f"collapsed/{shard}.npy"))
    if table.empty:
        return pd.DataFrame()
    table = table.merge(known[[*KEY, "points"]], on=KEY)
    pixel = settings.crop.pixel_mm
    seen = heights_in_images(images[table["crop"]], np.stack(list(table["points"])), pixel, refiner, "cpu")
    rows = []
    for (scan_id, vertebra), of in table.assign(seen=list(seen)).groupby(KEY):
        whole = of[of["shape"] == ""].iloc[0]
        own = np.linalg.norm(np.diff(whole["points"].reshape(3, 2, 2), axis=1)[:, 0], axis=1) * pixel
        for row in of[of["shape"] != ""].itertuples():
            profile = lost_mm(images[whole["crop"]], images[row.crop], whole["points"], pixel) / own
            network = 1 - row.seen / whole["seen"]
            for column, name in enumerate(LOSSES):
                values = {"true": getattr(row, name), "profiles": profile[column], "network": network[column]}
                rows.append({"scan_id": scan_id, "vertebra": vertebra, "shape": row.shape, "column": name} | values)
    return pd.DataFrame(rows)


def pictures(results: Path, known: pd.DataFrame, pixel_mm: float) -> pd.DataFrame:
    """COUNTERFACTUALS with `profiles`: the largest loss of the columns as the profiles tell it."""
    strips = read_table(results / "counterfactual/strips.parquet", COUNTERFACTUALS)
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
        "bias": float(error.mean()),
        "within_8_points": float((error.abs() <= WITHIN).mean()),
        "correlation": float(stats.spearmanr(pairs[by], pairs["true"]).statistic),
    }


def grades_of(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """By grade asked: the largest loss as both ways measure it."""
    largest = table[[f"profiles_{name}" for name in LOSSES]].max(axis=1)
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
            "profiles_largest_mean": float(largest[of].mean()),
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
    shards = sorted(path.stem for path in (given.results / "collapsed").glob("*.parquet"))
    all_points = [points_in_crops(given.results, shard, of_run) for shard in shards]
    tested = pd.concat(
        [collapsed(given.results, n, points, of_run, network) for n, points in zip(shards, all_points, strict=True)]
    )
    drawn = pictures(given.results, pd.concat(all_points), of_run.crop.pixel_mm)
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
