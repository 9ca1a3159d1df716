"""The card of a frozen model says who taught it, how good it is where, and what nobody told."""

import json
from typing import Any

import pytest

from helpers.synthetic_predictions import make_cohort
from vertegrade.evaluation.evaluate import evaluate
from vertegrade.plotting import NOTICE
from vertegrade.report.model_card import card_text, model_card
from vertegrade.settings.evaluation import EvaluationSettings

COHORT = make_cohort(20)
METRICS = {
    name: evaluate(getattr(COHORT, name), COHORT.tables(), EvaluationSettings(bootstrap_resamples=50), 1, 7, name)
    for name in ("dae", "pca")
}
NETWORKS = {"dae/weights.safetensors": {"steps": "1500", "data_sha256": "a" * 64}}
SETTINGS = {"grading.coverage": 0.9, "grading.fracture_grade": 1, "localize.method": "learned"}
HEIGHTS = "fitted to 664 vertebrae of 95 training patients"
FITTED = {"patients": 108, "vertebrae": 982, "fractured": 207, "w": [0.1]}


def card(scans: str, labels: str = "people", metrics: dict[str, Any] = METRICS, **own: str) -> dict[str, Any]:
    told = {"name": "", "licence": "", "about": ""} | own
    return model_card({"scans": scans, "labels": labels}, FITTED, metrics, NETWORKS, SETTINGS, told, HEIGHTS)


@pytest.mark.parametrize(
    ("scans", "says"),
    [
        ("phantoms", "never learned from an image of a patient"),
        ("people", "scanners, protocols and"),
        ("mixed", "It learned from phantoms and from few patients"),
    ],
)
def test_the_text_tells_who_taught_it_and_its_limits(scans: str, says: str) -> None:
    text = card_text(card(scans))
    assert NOTICE in text
    assert says in text
    assert "| steps 1500 |" in text.replace("`dae/weights.safetensors` ", "")
    assert "982 vertebrae of 108 patients, 207 of them fractured (Genant grade 1 or more)" in text
    assert f"Heights of intact vertebrae, which keypoints compares with: {HEIGHTS}." in text
    auc = METRICS["dae"]["splits"]["test"]["vertebra"]["auc"]["value"]
    assert f"| ROC AUC, fractured or not | {auc:.2f}" in text
    assert "| figure | DAE | PCA (baseline, not in this folder) |" in text


def test_grades_that_no_label_was_held_against_are_said_to_be_so() -> None:
    text = card_text(card("people", "virtual", {}))
    assert "There were no labels of people to hold its grades against." in text
    assert "It has never learned from a real fracture" in text
    assert "real fracture" not in card_text(card("people"))


def test_what_nobody_told_is_said_and_what_somebody_told_is_there() -> None:
    text = card_text(card("people"))
    assert text.count("none is given") == 2
    assert text.startswith("# A model without a name\n")
    text = card_text(card("people", name="Mine", licence="Apache-2.0", about="Scans of A (CC BY 4.0).\n"))
    assert text.startswith("# Mine\n")
    assert "\nApache-2.0\n" in text
    assert "\nScans of A (CC BY 4.0).\n" in text


def test_the_card_is_plain_values() -> None:
    assert json.loads(json.dumps(card("people"), allow_nan=False)) == card("people")
