"""Tables of the cohort's page by group: of vertebrae (shape, region, level), of patients and of scanners."""

from collections.abc import Mapping
from typing import Any

from vertegrade.evaluation.texts import estimate_text
from vertegrade.methods import METHODS

# Key in metrics.json, heading.
STRATA = (
    ("by_shape", "Shape"),
    ("by_region", "Region"),
    ("by_level", "Level"),
    ("by_sex", "Sex"),
    ("by_age", "Age, years"),
    ("by_maker", "Maker of the scanner"),
    ("by_kernel", "Reconstruction kernel"),
    ("by_thickness", "Slice thickness"),
)
COLUMNS = (
    ("auc", "ROC AUC"),
    ("sensitivity", "Sensitivity"),
    ("specificity", "Specificity"),
    ("mean_error", "Mean error"),
    ("interval_coverage", "Interval coverage"),
)
NOT_OF_SHAPES = ("specificity", "interval_coverage")
# Of fewer patients the bootstrap says too little, and a figure may tell who they are.
FEWEST_PATIENTS = 5
TOO_FEW = "too few"


def subgroup_tables(metrics: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A table for each of STRATA: rows are groups of the test split."""
    return [_table(metrics, kind, title) for kind, title in STRATA]


def _table(metrics: Mapping[str, Mapping[str, Any]], kind: str, title: str) -> dict[str, Any]:
    """Counts, figures of the main method, then the AUC of the other methods."""
    main = next(iter(metrics))
    columns = [(main, figure, name) for figure, name in COLUMNS if kind != "by_shape" or figure not in NOT_OF_SHAPES]
    columns += [(method, *COLUMNS[0]) for method in metrics if method != main]
    blocks = {method: block["splits"]["test"][kind] for method, block in metrics.items()}
    rows = []
    for group, numbers in blocks[main].items():
        counts = [numbers["counts"][of] for of in ("patients", "vertebrae", "fractured")]
        few = counts[0] < FEWEST_PATIENTS
        of = [(blocks[method].get(group), figure) for method, figure, _ in columns]
        texts = [TOO_FEW if few else estimate_text(its[figure]) if its else "n/a" for its, figure in of]
        rows.append({"name": "not known" if group == "unknown" else group, "cells": [*map(str, counts), *texts]})
    heads = [f"{METHODS[method].label}: {name}" for method, _, name in columns]
    return {
        "title": title,
        "heads": [title, "Patients", "Vertebrae", "Fractured", *heads],
        "rows": rows,
        "unknown": bool(rows) and all(row["name"] == "not known" for row in rows),
    }
