"""Which vertebrae are shown: as many mild as severe ones."""

import numpy as np
import pandas as pd

from vertegrade.tables import KEY


def spread_by_severity(predictions: pd.DataFrame, count: int, split: str = "test") -> pd.DataFrame:
    """Up to `count` evaluable vertebrae of a split, spread evenly over the range of severity, least severe first.

    Evenly over the range, not over the vertebrae: most are healthy, and a picture of them alone would show nothing.
    """
    rows = predictions[predictions["evaluable"] & (predictions["split"] == split)]
    rows = rows.sort_values(["severity", "scan_id", "vertebra"], ignore_index=True)
    severity = rows["severity"].to_numpy(dtype=float)
    left = np.full(len(rows), True)
    for wanted in np.linspace(severity.min(initial=3), severity.max(initial=0), min(count, len(rows))):
        left[np.argmin(np.where(left, np.abs(severity - wanted), np.inf))] = False
    return rows[~left].reset_index(drop=True)


def shown_strips(predictions: pd.DataFrame, drawn: pd.DataFrame, count: int) -> pd.DataFrame:
    """The drawn vertebrae (COUNTERFACTUALS) that the picture shows: rows of predictions, with `row` in the images."""
    rows = drawn[[*KEY, "row"]].drop_duplicates()
    return spread_by_severity(predictions.merge(rows, on=KEY), count)
