"""Groups of the compared vertebrae as rows of text for the page."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from vertegrade.evaluation.comparison.figure import group_text
from vertegrade.evaluation.texts import estimate_text

# Kinds of groups, as people name them. Kernels are too many and too small: they are in groups.csv.
KINDS = {
    "thickness": "Slice thickness",
    "noise": "Noise within slices, thirds of the compared scans",
    "smoothness": "Smoothness (correlation of neighbouring pixels), thirds of the compared scans",
    "field": "Field of view",
    "maker": "Maker of the scanner",
}
FIGURES = (("auc", 3), ("sensitivity", 2), ("false_alarms", 2))


def _cell(row: Mapping[Any, Any], digits: int) -> str:
    """The figure with its interval; a share of few vertebrae as counts alone."""
    cell = {key: None if pd.isna(row[key]) else row[key] for key in ("value", "low", "high")}
    if pd.isna(row["hits"]):
        return estimate_text(cell, digits)
    counts = f"{row['hits']:.0f} of {row['n']}"
    return counts if cell["value"] is None else f"{counts}: {estimate_text(cell, digits)}"


def finding_rows(groups: pd.DataFrame) -> list[dict[str, Any]]:
    """False alarms by what may look like a fracture, a column per method."""
    rows = groups[(groups["kind"] == "finding") & (groups["figure"] == "false_alarms")]
    return [
        {
            "name": group_text("finding", str(group)).capitalize(),
            "patients": int(of["patients"].iloc[0]),
            "cells": [_cell(row, 2) for row in of.to_dict("records")],
        }
        for group, of in rows.groupby("group", sort=False)
    ]


def acquisition_tables(groups: pd.DataFrame) -> list[dict[str, Any]]:
    """A table for each kind of acquisition: rows are groups; cells are AUC, sensitivity and false alarms by method."""
    tables = []
    for kind, title in KINDS.items():
        rows = []
        for group, of in groups[groups["kind"] == kind].groupby("group", sort=False):
            cells = [
                _cell(row, digits)
                for _, figures in of.groupby("method", sort=False)
                for figure, digits in FIGURES
                for row in figures[figures["figure"] == figure].to_dict("records")
            ]
            rows.append({"name": str(group), "patients": int(of["patients"].iloc[0]), "cells": cells})
        if rows:
            tables.append({"title": title, "rows": rows})
    return tables
