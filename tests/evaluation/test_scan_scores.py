"""Whole patients by a sequence model's scan scores: thresholds of validation patients, metrics of test patients."""

import numpy as np
import pandas as pd
import pytest

from vertegrade.evaluation.scan_scores import best_threshold, scan_metrics, whole_scans
from vertegrade.settings.evaluation import EvaluationSettings

SETTINGS = EvaluationSettings(bootstrap_resamples=50)


def cohort(p_test: np.ndarray) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Eight validation and eight test patients, the last half of each fractured; the first of each has two scans."""
    patients = [f"{split}{n}" for split in ("v", "t") for n in range(8)]
    p = np.concatenate([np.linspace(0.1, 0.8, 8), p_test])
    scores = pd.DataFrame({"patient_id": patients, "scan_id": [f"{name}-1" for name in patients]})
    scores = scores.assign(network="ensemble", p_fracture=p, p_worst_patch=1 - p, evaluable=True, reason="")
    second = scores[scores["patient_id"].isin(["v0", "t0"])].assign(p_fracture=0.0, p_worst_patch=0.0)
    lost = second.assign(scan_id="lost", evaluable=False, reason="no_canal", p_fracture=np.nan, p_worst_patch=np.nan)
    second = second.assign(scan_id=second["patient_id"] + "-2")
    labels = pd.DataFrame({"patient_id": patients, "scan_id": [f"{name}-1" for name in patients], "vertebra": 20})
    grade = [0.0, 0.0, 0.0, 0.0, 2.0, 1.0, 3.0, 2.0] * 2
    labels = labels.assign(genant_grade=grade, usable=True)
    splits = pd.DataFrame({"patient_id": patients, "split": ["validation"] * 8 + ["test"] * 8})
    return pd.concat([scores, second, lost.head(1)], ignore_index=True), labels, splits


def test_thresholds_come_from_validation_patients_alone() -> None:
    good = scan_metrics(*cohort(np.linspace(0.1, 0.8, 8)), SETTINGS, 1, 0)["networks"]["ensemble"]["p_fracture"]
    bad = scan_metrics(*cohort(np.linspace(0.8, 0.1, 8)), SETTINGS, 1, 0)["networks"]["ensemble"]["p_fracture"]
    assert good["threshold"] == bad["threshold"] == pytest.approx(0.5)
    assert (good["test"]["auc"]["value"], bad["test"]["auc"]["value"]) == (1.0, 0.0)
    assert (good["test"]["sensitivity"]["value"], good["test"]["specificity"]["value"]) == (1.0, 1.0)
    assert good["test"]["auc"]["n"] == 8  # patients, not scans


def test_scans_that_could_not_be_read_are_counted_with_their_reason() -> None:
    counts = scan_metrics(*cohort(np.linspace(0.1, 0.8, 8)), SETTINGS, 1, 0)["scans"]
    assert counts == {
        "test": {"scans": 9, "not_evaluable": {}},
        "validation": {"scans": 10, "not_evaluable": {"no_canal": 1}},
    }


def test_scans_of_patients_without_labels_are_counted_too() -> None:
    scores, labels, splits = cohort(np.linspace(0.1, 0.8, 8))
    counts = scan_metrics(scores, labels[labels["patient_id"] != "v0"], splits, SETTINGS, 1, 0)["scans"]
    assert counts["validation"] == {"scans": 10, "not_evaluable": {"no_canal": 1}}  # the lost scan is of v0


def test_the_worst_patch_is_a_reading_of_its_own() -> None:
    found = scan_metrics(*cohort(np.linspace(0.1, 0.8, 8)), SETTINGS, 1, 0)["networks"]["ensemble"]
    assert found["p_worst_patch"]["test"]["auc"]["value"] == 0.0


def test_whole_scans_are_of_test_patients_by_the_worst_scan_that_could_be_read() -> None:
    scores, labels, splits = cohort(np.linspace(0.1, 0.8, 8))
    other = scores.assign(network="recurrent-0", p_fracture=0.99)
    lost = (scores["patient_id"] == "t1").to_numpy()
    scores = scores.assign(evaluable=scores["evaluable"] & ~lost, p_fracture=scores["p_fracture"].mask(lost))
    found = whole_scans(pd.concat([scores, other], ignore_index=True), labels, splits, 1)
    assert found.threshold == pytest.approx(0.5)
    assert found.p_fracture.to_dict() == pytest.approx({f"t{n}": 0.1 + n / 10 for n in range(8) if n != 1})


def test_a_threshold_needs_patients_of_either_kind() -> None:
    assert best_threshold(np.array([0.1, 0.9]), np.array([True, True])) is None
    assert best_threshold(np.array([0.1, 0.2, 0.8, 0.9]), np.array([False, False, True, True])) == 0.8


def test_without_a_threshold_nothing_is_said_of_who_is_called() -> None:
    scores, labels, splits = cohort(np.linspace(0.1, 0.8, 8))
    healthy = labels["patient_id"].str.startswith("v")
    labels["genant_grade"] = labels["genant_grade"].mask(healthy, 0.0)
    cells = scan_metrics(scores, labels, splits, SETTINGS, 1, 0)["networks"]["ensemble"]["p_fracture"]
    assert cells["threshold"] is None
    for name in ("sensitivity", "specificity"):
        assert [cells["test"][name][key] for key in ("value", "low", "high")] == [None, None, None]
    assert cells["test"]["auc"]["value"] == 1.0  # needs no threshold
