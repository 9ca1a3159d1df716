"""What was measured in pictures at other grades, as a table and in words for people."""

from typing import Any

import pandas as pd

from vertegrade.levels import NAMES
from vertegrade.tables import GRADES


def film_name(scan: str, vertebra: int) -> str:
    """The file of a strip as an animation."""
    return f"{scan}_{NAMES[vertebra]}.png"


def strip_words(strip: pd.DataFrame) -> str:
    """What stays and what changes in the pictures of one vertebra (its rows of COUNTERFACTUALS), in plain words."""
    nearest = strip["nearest_training"].min()
    near = (
        "How near training vertebrae come is not known here."
        if pd.isna(nearest)
        else f"The strangest picture is further from all training vertebrae than {100 * (1 - nearest):.0f} % of these "
        "are from the next one: the more, the more it is a guess."
    )
    return (
        f"{100 * strip['outside_share'].mean():.0f} % of what changes lies outside of the body. "
        f"The model's copy differs from the CT by {strip['reconstruction_error_hu'].mean():.0f} HU. "
        f"Asked back, {strip['returns'].sum()} of {len(strip)} pictures become this vertebra again and not another; "
        f"they differ from the copy by {strip['return_error_hu'].mean():.0f} HU. {near}"
    )


def strip_rows(metrics: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows by grade of counterfactual/metrics.json: asked and measured loss, share within, asked and given severity."""
    if not metrics["vertebrae"]:
        return []
    return [_row(grade, metrics) for grade in GRADES]


def _row(grade: int, metrics: dict[str, Any]) -> dict[str, Any]:
    name = str(grade)
    asked = metrics["wanted_severity"][name]
    given = asked + metrics["severity_bias_by_grade"][name]
    cells = [
        f"{100 * metrics['middle_of_grade'][name]:.0f} %",
        f"{100 * metrics['mean_loss'][name]:.0f} %",
        f"{100 * metrics['within_8_points'][name]:.0f} %",
        f"{asked:.1f}",
        f"{given:.1f}",
        f"{metrics['severity_gap_by_grade'][name]:.2f}",
    ]
    return {"name": f"Grade {grade}", "cells": cells}
