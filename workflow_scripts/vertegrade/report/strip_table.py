"""What was measured in pictures at other grades, as a table for people."""

from typing import Any

from vertegrade.tables import GRADES


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
