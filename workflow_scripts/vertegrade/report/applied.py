"""What the cohort's page tells of other scans that the cohort's model graded: novelty, and the challenge where made."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from vertegrade.evaluation.texts import estimate_text
from vertegrade.methods import MAIN, METHODS
from vertegrade.tables import has_flag

COUNTED_FLAGS = ("unlike_training", "look_at_this", "methods_disagree")


def applied_run(
    name: str, grades: pd.DataFrame, challenge: Mapping[str, Any] | None, same_model: bool
) -> dict[str, Any]:
    """What the page shows of one run.

    grades: its GRADE_TABLE. challenge: its challenge.json, None where it made none. same_model: whether its grades are
    of the model that the cohort has now; of another one nothing but this is told.
    """
    if not same_model:
        return {"name": name, "same_model": False}
    graded = grades[grades["evaluable"]]
    withheld = int((grades["reason"] == "unlike_training").sum())
    return {
        "name": name,
        "same_model": True,
        "method": METHODS[MAIN].label,
        "scans": grades["scan_id"].nunique(),
        "found": len(grades),
        "graded": len(graded),
        "withheld": withheld,
        "others": len(grades) - len(graded) - withheld,
        "by_grade": [int((graded["grade"] == grade).sum()) for grade in range(4)],
        "flags": [(flag.replace("_", " "), int(has_flag(grades, flag).sum())) for flag in COUNTED_FLAGS],
        "challenge": _challenge(challenge) if challenge else None,
    }


def _challenge(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Counts of the challenge and, by method, the figures that a reader asks for first."""
    controls = {name: count for name, count in numbers["vertebrae"].items() if name != "fracture"}
    return {
        "clear_loss": f"{100 * numbers['clear_loss']:g}",
        "fractures": numbers["vertebrae"]["fracture"],
        "controls": sum(controls.values()),
        "rows": [_method(name, blocks["all"]) for name, blocks in numbers["methods"].items()],
    }


def _method(name: str, block: Mapping[str, Any]) -> dict[str, Any]:
    kinds = block["kinds"]
    texts = [estimate_text(block[figure]) for figure in ("sensitivity", "false_alarms", "auc", "spearman")]
    unlike = [
        estimate_text(kinds[kind]["unlike_training"]) if kind in kinds else "n/a" for kind in ("fracture", "source")
    ]
    return {"name": METHODS[name].label, "cells": [*texts, *unlike]}
