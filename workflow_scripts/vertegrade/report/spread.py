"""Which vertebrae are shown: as many mild as severe ones; and which are suspicious."""

import numpy as np
import pandas as pd

from vertegrade.tables import KEY, has_flag

# A vertebra whose grade is withheld and would be 2 or 3 stands between graded ones as if it had this severity.
LOOK, LOOK_SEVERITY = "look_at_this", 2.0


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
    """The drawn vertebrae (COUNTERFACTUALS) that the picture shows: rows of predictions, with `row` in the images.

    Only those that the figures count: the others were chosen for being suspicious.
    """
    rows = drawn.loc[drawn["counted"], [*KEY, "row"]].drop_duplicates()
    return spread_by_severity(predictions.merge(rows, on=KEY), count)


def suspicious_vertebrae(grades: pd.DataFrame) -> pd.DataFrame:
    """The rows of GRADE_TABLE that are graded above 0, or whose grade of 2 or 3 is withheld; worst first.

    In any split. The same as on the pages of the patients (`Vertebra.suspicious`), in their order.
    """
    look = has_flag(grades, LOOK)
    severity = grades["severity"].to_numpy(np.float64, na_value=np.nan)
    graded = np.where(grades["evaluable"], severity, -1.0)
    urgency = np.where(look, np.maximum(graded, LOOK_SEVERITY), graded)
    fractured = grades["evaluable"].to_numpy(bool) & (grades["grade"].fillna(0) > 0).to_numpy(bool)
    rows = grades.assign(urgency=urgency)[look | fractured]
    order = rows.sort_values(["urgency", *KEY], ascending=[False, True, True])
    return order.drop(columns="urgency").reset_index(drop=True)
