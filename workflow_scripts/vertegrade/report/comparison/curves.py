"""Learning curves as rows of text for the page."""

from typing import Any

import pandas as pd

from vertegrade.evaluation.comparison.figure import label_of
from vertegrade.evaluation.comparison.tables import PATIENTS, VERTEBRAE

# Title, unit, figure, digits.
SHOWN = (
    ("AUC, vertebrae", VERTEBRAE, "auc", 3),
    ("AUC, patients", PATIENTS, "auc", 3),
    ("Macro-F1 of grades, vertebrae", VERTEBRAE, "macro_f1", 2),
    ("Spearman with the true grade, vertebrae", VERTEBRAE, "spearman_grade", 2),
)


def curve_tables(learning: pd.DataFrame) -> list[dict[str, Any]]:
    """A table for each figure: rows are methods, columns the shares of LEARNING_CURVE, cells the mean over draws."""
    shares = sorted(set(learning["share"]))
    tables = []
    for title, unit, figure, digits in SHOWN:
        rows = learning[(learning["unit"] == unit) & (learning["figure"] == figure)]
        by_method = [
            {
                "name": label_of(str(method)),
                "cells": [_cell(of.loc[of["share"] == share, "value"].dropna(), digits) for share in shares],
            }
            for method, of in rows.groupby("method", sort=False)
        ]
        tables.append({"title": title, "rows": by_method})
    return tables


def _cell(values: pd.Series, digits: int) -> str:
    """`0.95 (0.92–0.97)`: mean and range; the value alone where there was one draw."""
    if not len(values):
        return "n/a"
    mean, low, high = (f"{value:.{digits}f}" for value in (values.mean(), values.min(), values.max()))
    return (f"{mean} ({low}–{high})" if len(values) > 1 else mean).replace("-", "−")


def unfitted(learning: pd.DataFrame) -> list[str]:
    """Draws with too few patients to fit, and why."""
    failed = learning[learning["reason"] != ""]
    counts = failed.groupby(["method", "share", "reason"], sort=False).size().reset_index(name="draws")
    return [
        f"{label_of(row['method'])}, {100 * row['share']:g} % ({row['draws']} draws): {row['reason']}"
        for row in counts.to_dict("records")
    ]
