"""A phantom's scan and its true points: real enough for the geometry, and known."""

from functools import cache

import pandas as pd

from vertegrade.ct.volume import Volume
from vertegrade.levels import LABEL_OF
from vertegrade.phantom.training_scan import training_scan
from vertegrade.tables import LANDMARKS


@cache
def scan() -> tuple[Volume, pd.DataFrame]:
    """The scan, and its true points as LANDMARKS."""
    volume, truth = training_scan(5, 3, hard=0.0, voxels=5_000_000)
    rows = truth[truth["complete"] & truth["vertebra"].between(LABEL_OF["T1"], LABEL_OF["L5"])].copy()
    rows = rows.assign(confidence=1.0, source="truth", evaluable=True, reason="", flags="")
    rows["label_confidence"] = 1.0
    return volume, rows[[name for name in LANDMARKS.columns if name in rows]].reset_index(drop=True)
