"""What the cohort's page tells of pictures at other grades, and of their plain rival."""

from pathlib import Path
from typing import Any

from helpers.page import Outline
from helpers.synthetic_predictions import make_cohort
from vertegrade.evaluation.evaluate import evaluate
from vertegrade.report.cohort_page import cohort_page
from vertegrade.report.flow import cohort_flow
from vertegrade.settings.evaluation import EvaluationSettings

COHORT = make_cohort(20)
TABLES = COHORT.tables()
METRICS = {"dae": evaluate(COHORT.dae, TABLES, EvaluationSettings(bootstrap_resamples=20), 1, 7, "dae")}
GRADES = ("0", "1", "2", "3")


def drawn(vertebrae: int) -> dict[str, Any]:
    """As counterfactual/metrics.json has it."""
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
    one = {"order_right": 0.97, "reached_40_percent": 0.93, "outside_to_inside": 0.04}
    return {"vertebrae": vertebrae} | figures | {name: value if some else None for name, value in one.items()}


def page(tmp_path: Path, **more: Any) -> str:
    flow = cohort_flow([s for s, _ in COHORT.sheet], COHORT.scans, COHORT.landmarks, TABLES, COHORT.dae)
    figures = {name: tmp_path / f"{name}.png" for name in ("montage", "counterfactuals", "rivals")}
    for path in figures.values():
        path.write_bytes(b"png")
    return cohort_page(METRICS, flow, figures, {}, **more)


def rivals() -> dict[str, Any]:
    told = {
        kind: {"texture": {"value": value, "low": value - 0.02, "high": value + 0.02, "n": 40, "skipped": 0}}
        for kind, value in (("dae", 0.97), ("warp", 0.61))
    }
    return {
        kind: {"loss_error": 0.02, "told_from_ct": {"intact": each, "fractured": each}} for kind, each in told.items()
    }


def test_the_pictures_stand_with_what_was_measured_and_with_their_rival(tmp_path: Path) -> None:
    html = page(tmp_path, counterfactuals=drawn(60), rivals=rivals())
    assert Outline(html).open == []
    assert "60 test vertebrae, 97 % of them with losses in the order" in html
    assert '<th scope="row">Grade 3</th>' in html
    assert "48 %" in html
    assert "2.6" in html  # asked 2.8, given 0.2 less
    assert "(0.59–0.63)" in html
    assert "look less like CT" in html


def test_without_pictures_the_page_says_why_and_shows_no_rival(tmp_path: Path) -> None:
    html = page(tmp_path, counterfactuals=drawn(0), rivals=rivals())
    assert Outline(html).open == []
    assert "No picture could be made" in html
    assert "Beside a plain warp" not in html
