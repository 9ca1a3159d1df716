"""The crops that a method learns from, or is looked at while it learns: those of the patients of one split."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from vertegrade.arrays import read_array
from vertegrade.cohort.splits import in_split
from vertegrade.graders.crops import Crops
from vertegrade.tables import CROPS, read_table


def crops_of_split(
    tables: Sequence[str | Path], pixels: Sequence[str | Path], splits: pd.DataFrame, split: str
) -> tuple[Crops, set[str]]:
    """The evaluable crops of a split's patients, memory-mapped, and these patients.

    tables, pixels: files of the shards, CROPS and their arrays, in the same order. splits: PATIENT_SPLITS.
    """
    rows: list[np.ndarray] = []
    patients: set[str] = set()
    for file in tables:
        crops = read_table(file, CROPS)
        wanted = crops["evaluable"] & in_split(splits, crops["patient_id"], split)
        rows.append(crops.loc[wanted, "crop"].to_numpy())
        patients.update(crops.loc[wanted, "patient_id"])
    return Crops([read_array(file) for file in pixels], rows), patients
