"""Figures of pictures at other grades, as counterfactual/metrics.json has them."""

from typing import Any

GRADES = ("0", "1", "2", "3")


def drawn(vertebrae: int) -> dict[str, Any]:
    """Of this many vertebrae."""
    some = vertebrae > 0
    by_grade = {
        "mean_loss": (0.07, 0.21, 0.33, 0.48),
        "within_8_points": (1.0, 0.99, 0.98, 0.93),
        "middle_of_grade": (0.1, 0.225, 0.325, 0.5),
        "wanted_severity": (0.1, 1.0, 2.0, 2.8),
        "severity_gap_by_grade": (0.09, 0.19, 0.18, 0.26),
        "severity_bias_by_grade": (0.0, 0.1, 0.0, -0.2),
    }
    figures = {name: dict(zip(GRADES, values, strict=True)) for name, values in by_grade.items()}
    one = {"order_right": 0.97, "reached_40_percent": 0.93, "outside_to_inside": 0.04, "severity_gap": 0.18}
    return {"vertebrae": vertebrae} | figures | {name: value if some else None for name, value in one.items()}


def rivals() -> dict[str, Any]:
    """Figures of drawn beside bent pictures, as counterfactual/rivals.json has them."""
    told = {
        kind: {"texture": {"value": value, "low": value - 0.02, "high": value + 0.02, "n": 40, "skipped": 0}}
        for kind, value in (("dae", 0.97), ("warp", 0.61))
    }
    return {
        kind: {"loss_error": 0.02, "told_from_ct": {"intact": each, "fractured": each}} for kind, each in told.items()
    }
