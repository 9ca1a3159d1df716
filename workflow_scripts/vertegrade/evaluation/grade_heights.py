"""What one grade of severity changes in the three heights, by shape and part of the spine.

Of pictures at other grades, where shapes, losses and severities were asked for and corrected; and of test crops, where
they were not: there the model's severity meets the heights that were measured. Both in fractions of the height that an
intact vertebra would have, for one grade.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from vertegrade.arrays import Floats
from vertegrade.drawn_tables import GRADE_HEIGHTS, LOSSES
from vertegrade.evaluation.areas import part_of_spine
from vertegrade.evaluation.bootstrap import Metric, Metrics, estimate
from vertegrade.evaluation.metrics import mean, ratio
from vertegrade.settings.evaluation import EvaluationSettings
from vertegrade.tables import GRADES, HEIGHTS, SHAPES, check_table

STEPS = {"0-1": (0, 1), "1-2": (1, 2), "2-3": (2, 3), "0-3": (0, 3)}
ALL, PARTS = "all", ("all", "thoracic", "thoracolumbar", "lumbar")
PICTURES, CROPS = "pictures", "crops"


def grade_heights(pictures: pd.DataFrame, crops: pd.DataFrame, settings: EvaluationSettings, seed: int) -> pd.DataFrame:
    """GRADE_HEIGHTS. pictures: COUNTERFACTUALS, of which those that are `counted` are used.

    crops: one row per graded and measured test vertebra: patient_id, vertebra, severity by the model, and shape (""
    intact) and losses of MEASUREMENTS.
    """
    groups = [*_of_pictures(pictures[pictures["counted"]]), *_of_crops(crops)]
    rows: list[dict[str, Any]] = []
    for names, group, metrics in groups:
        patients = np.unique(group["patient_id"].to_numpy(str), return_inverse=True)[1].astype(np.int64)
        found = estimate(metrics, patients, settings, seed)
        counted = group[group["shape"] != ""]
        counts = {"vertebrae": len(counted), "patients": counted["patient_id"].nunique()}
        for column in HEIGHTS:
            cell = found[column]
            numbers = {"change": cell["value"], "low": cell["low"], "high": cell["high"]}
            rows.append(names | {"column": column} | numbers | counts)
    table = pd.DataFrame(rows, columns=list(GRADE_HEIGHTS.columns))
    return check_table(table, GRADE_HEIGHTS, "heights for one grade")


Group = tuple[dict[str, str], pd.DataFrame, Metrics]


def _of_pictures(pictures: pd.DataFrame) -> Iterator[Group]:
    """Steps between two pictures of one vertebra. The picture at grade 0 has no shape and belongs to all of them."""
    keys = ["patient_id", "vertebra", "row"]
    values = [*LOSSES, "severity"]
    at = {grade: pictures.loc[pictures["wanted_grade"] == grade, [*keys, "shape", *values]] for grade in GRADES}
    parts = {label: part_of_spine(label) for label in pictures["vertebra"].unique()}
    for step, (low, high) in STEPS.items():
        on = keys if low == 0 else [*keys, "shape"]
        lower = at[low].drop(columns="shape") if low == 0 else at[low]
        pairs = lower.merge(at[high], on=on, suffixes=("_low", "_high"), validate="one_to_many")
        for part in PARTS:
            here = pairs if part == ALL else pairs[pairs["vertebra"].map(parts) == part]
            for shape in SHAPES:
                group = here[here["shape"] == shape]
                change = {name: (group[f"{name}_high"] - group[f"{name}_low"]).to_numpy(np.float64) for name in values}
                yield {"source": PICTURES, "part": part, "shape": shape, "step": step}, group, _for_one_grade(change)


def _for_one_grade(change: dict[str, Floats]) -> Metrics:
    """Changes of heights over changes of severity, both added up first: no vertebra of a small step counts for much."""

    def metrics(weights: Floats) -> dict[str, Metric]:
        grades = weights @ change["severity"]
        return {
            column: Metric(ratio(-(weights @ change[loss]), grades), (len(change[loss]),))
            for column, loss in zip(HEIGHTS, LOSSES, strict=True)
        }

    return metrics


def _of_crops(crops: pd.DataFrame) -> Iterator[Group]:
    """Fractured test vertebrae of a shape against the intact ones of their part of the spine."""
    parts = crops["vertebra"].map({label: part_of_spine(label) for label in crops["vertebra"].unique()})
    for part in PARTS:
        here = crops if part == ALL else crops[parts == part]
        for shape in SHAPES:
            group = here[here["shape"].isin(["", shape])].reset_index(drop=True)
            yield {"source": CROPS, "part": part, "shape": shape, "step": "0-3"}, group, _against_intact(group)


def _against_intact(group: pd.DataFrame) -> Metrics:
    intact = (group["shape"] == "").to_numpy()
    cases = (int(intact.sum()), int((~intact).sum()))
    values = {name: group[name].to_numpy(np.float64) for name in [*LOSSES, "severity"]}

    def metrics(weights: Floats) -> dict[str, Metric]:
        apart = {
            name: mean(of[~intact], weights[:, ~intact]) - mean(of[intact], weights[:, intact])
            for name, of in values.items()
        }
        return {
            column: Metric(ratio(-apart[loss], apart["severity"]), cases)
            for column, loss in zip(HEIGHTS, LOSSES, strict=True)
        }

    return metrics
