"""Straight spines of shards as sequences of patches, with the grades of what they show."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from vertegrade.arrays import Floats, read_array
from vertegrade.cohort.splits import in_split
from vertegrade.ct.volume import AIR_HU
from vertegrade.graders.seq2seq.patches import UNKNOWN
from vertegrade.grading.rows import GradingError, Whole
from vertegrade.tables import BODY_HEIGHTS, PATIENT_KEY, SPINE_BODIES, STRAIGHT_SPINES, read_table

LEAST_INSIDE = 0.5  # share of a patch that must lie in the scan; else it is left out of its sequence


@dataclass(frozen=True, eq=False)
class SpineScan:
    """A scan's straight spine. pixels: int16 HU (R, S, W), memory-mapped.

    rows: of its bodies in table SPINE_BODIES (V,). ends: (V, 2), rows of their upper and lower ends. grade: (V,) their
    Genant grades, UNKNOWN where they have none. heights: (V, 3) in front, in the middle and behind, in mm; NaN where
    the body is not evaluable.
    """

    scan_id: str
    patient_id: str
    pixels: np.ndarray
    rows: Whole
    ends: Floats
    heights: Floats
    grade: Whole


def spine_scans(
    array: np.ndarray, spines: pd.DataFrame, bodies: pd.DataFrame, labels: pd.DataFrame | None = None
) -> Iterator[SpineScan]:
    """The evaluable scans of a shard, in the order of its table.

    Without labels, bodies are those that are evaluable. With labels, all that lie in the spine: one that is not
    evaluable has no grade that could teach, but a patch that shows it must not pass for intact.
    """
    table = bodies.assign(row=np.arange(len(bodies)))
    if labels is not None:
        usable = labels.loc[labels["usable"], [*PATIENT_KEY, "genant_grade"]]
        table = table.merge(usable, on=PATIENT_KEY, how="left", validate="one_to_one")
        table = table.assign(genant_grade=table["genant_grade"].where(table["evaluable"]))
        table = table[table["top_row"].notna()]
    else:
        table = table.assign(genant_grade=np.nan)[table["evaluable"]]
    for scan in spines[spines["evaluable"]].to_dict("records"):
        own = table[table["scan_id"] == scan["scan_id"]]
        yield SpineScan(
            scan["scan_id"],
            scan["patient_id"],
            array[scan["first_row"] : scan["first_row"] + scan["rows"]],
            own["row"].to_numpy(np.int64),
            own[["top_row", "bottom_row"]].to_numpy(np.float64),
            own[BODY_HEIGHTS].where(own["evaluable"]).to_numpy(np.float64),
            own["genant_grade"].fillna(UNKNOWN).to_numpy(np.int64),
        )


def graded_scans(
    files: Sequence[tuple[Path, Path, Path]], labels: pd.DataFrame, splits: pd.DataFrame, split: str
) -> list[SpineScan]:
    """The scans of a split's patients that have a graded vertebra. files: array, spines and bodies of each shard.

    GradingError where they do not have two grades at least.
    """
    found = []
    for array, spines, bodies in files:
        table = read_table(spines, STRAIGHT_SPINES)
        wanted = table[in_split(splits, table["patient_id"], split)]
        scans = spine_scans(read_array(array), wanted, read_table(bodies, SPINE_BODIES), labels)
        found += [scan for scan in scans if (scan.grade != UNKNOWN).any()]
    grades = np.unique(np.concatenate([np.zeros(0, np.int64), *(scan.grade for scan in found)]))
    if len(grades[grades != UNKNOWN]) < 2:
        raise GradingError(
            f"the {split} split has {len(found)} scans with graded vertebrae, of the grades {grades.tolist()}; two "
            "grades are needed at least; check the labels, the splits and which scans have a spinal canal"
        )
    return found


def row_shares(pixels: np.ndarray) -> Floats:
    """Share (R,) of each row of a spine (R, S, W) that lies in the scan."""
    inside: Floats = (pixels != AIR_HU).mean(axis=(1, 2))
    return inside


def real_patches(inside: Floats, starts: Whole, height: int) -> Whole:
    """Those of the first rows of which enough of the patch lies in the scan; the one with most where none has enough.

    inside: (R,) of `row_shares`.
    """
    share = patch_shares(inside, starts, height)
    kept = starts[share >= LEAST_INSIDE]
    return kept if len(kept) else starts[[share.argmax()]]


def patch_shares(inside: Floats, starts: Whole, height: int) -> Floats:
    """Share (P,) of the patches with these first rows that lies in the scan. inside: (R,) of `row_shares`."""
    sums = np.concatenate([[0.0], np.cumsum(inside)])
    share: Floats = (sums[np.minimum(starts + height, len(inside))] - sums[starts]) / height
    return share


def cut(pixels: np.ndarray, starts: Whole, height: int) -> np.ndarray:
    """Patches int16 (P, H, S, W) with these first rows; air beyond the spine's end."""
    lacking = max(int(starts.max()) + height - len(pixels), 0)
    filled = np.pad(pixels, ((0, lacking), (0, 0), (0, 0)), constant_values=AIR_HU)
    return filled[starts[:, None] + np.arange(height)]
