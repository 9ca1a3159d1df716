"""Grade probabilities of a network: calibrated on validation patients alone, with intervals that hold."""

import numpy as np
import pandas as pd
import pytest

from helpers.simulated_latents import cohort
from vertegrade.cohort.splits import in_split
from vertegrade.grading.grade_scale import grade_of
from vertegrade.grading.prediction import with_patients
from vertegrade.grading.probabilities import (
    ProbabilityCalibration,
    calibrate_probabilities,
    fit_temperature,
    predict_probabilities,
)
from vertegrade.grading.rows import GradingError
from vertegrade.settings.grading import GradingSettings
from vertegrade.tables import PATIENT_KEY

SETTINGS = GradingSettings(folds=4)


def scored(patients: int = 200, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Scores of a network that is too sure and was trained on balanced grades; of training patients it knows all."""
    latents, labels, splits = cohort(patients, seed=seed)
    random = np.random.default_rng(seed)
    loss, grade = labels["height_loss"].to_numpy(), labels["genant_grade"].to_numpy(int)
    seen = loss + random.normal(0, 0.06, len(loss))
    middle = np.array([0.08, 0.22, 0.32, 0.5])
    logits = -((seen[:, None] - middle) ** 2) / (2 * 0.04**2)
    train = in_split(splits, labels["patient_id"], "train")
    logits[train] = 20 * np.eye(4)[grade[train]]
    log_p = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    return latents.assign(z=list(log_p.astype(np.float32))), labels, splits


SCORES, LABELS, SPLITS = scored()
CALIBRATION = calibrate_probabilities(SCORES, LABELS, SPLITS, SETTINGS, 1)


def test_calibration_makes_probabilities_better_and_less_sure() -> None:
    scores = CALIBRATION.scores
    assert scores["ranked_probability_score"] < 0.95 * scores["ranked_probability_score_before"]
    assert CALIBRATION.inverse_temperature < 1
    assert CALIBRATION.bias[0] == max(CALIBRATION.bias)  # most vertebrae are intact
    predictions = predict_probabilities(SCORES, CALIBRATION, SPLITS, "supervised").merge(LABELS, on=PATIENT_KEY)
    test = predictions[predictions["split"] == "test"]
    assert abs(test["p_fracture"].mean() - (test["genant_grade"] >= 1).mean()) < 0.05


def test_only_validation_patients_count() -> None:
    others = ~in_split(SPLITS, LABELS["patient_id"], "validation")
    labels = LABELS.assign(genant_grade=LABELS["genant_grade"].where(~others, 3.0))
    assert calibrate_probabilities(SCORES, labels, SPLITS, SETTINGS, 1) == CALIBRATION


def test_intervals_hold_for_new_patients_within_each_grade() -> None:
    predictions = predict_probabilities(SCORES, CALIBRATION, SPLITS, "supervised").merge(LABELS, on=PATIENT_KEY)
    test = predictions[predictions["split"] == "test"]
    inside = test["genant_grade"].between(test["severity_low"], test["severity_high"])
    for grade in (0, 1):
        assert inside[test["genant_grade"] == grade].mean() > 0.8
    assert (test["severity_high"] - test["severity_low"]).mean() < 2  # and say something


def test_predictions_keep_the_contract_of_all_methods() -> None:
    table = with_patients(predict_probabilities(SCORES, CALIBRATION, SPLITS, "supervised"), CALIBRATION)
    assert table["novelty"].isna().all()
    assert (grade_of(table["severity"].to_numpy()) == table["grade"]).all()
    assert np.allclose(table[[f"p_grade_{k}" for k in range(4)]].sum(axis=1), 1)
    assert np.allclose(table["p_fracture"], 1 - table["p_grade_0"])
    assert set(table["patient_fractured"]) == {0, 1}
    test = table[table["split"] == "test"]
    order = test["signed_distance"].corr(test["severity"], method="spearman")
    assert order > 0.9


def test_what_is_not_evaluable_keeps_its_reason_and_has_no_numbers() -> None:
    scores = SCORES.copy()
    scores.loc[[3, 900], ["evaluable", "reason"]] = [False, "outside_scan"]
    table = predict_probabilities(scores, CALIBRATION, SPLITS, "supervised")
    out = table[~table["evaluable"]]
    assert out["reason"].tolist() == ["outside_scan"] * 2
    assert out["severity"].isna().all()
    assert (out["grade"] == -1).all()


def test_numbers_survive_json_and_other_weights_are_refused() -> None:
    again = ProbabilityCalibration.from_dict(CALIBRATION.to_dict())
    assert again == CALIBRATION
    assert again.sha256() == CALIBRATION.sha256()
    with pytest.raises(GradingError, match="stale scores"):
        predict_probabilities(SCORES.assign(model_sha256="b" * 64), CALIBRATION, SPLITS, "supervised")


def test_too_few_validation_patients_are_refused() -> None:
    with pytest.raises(GradingError, match="need 9 validation patients"):
        calibrate_probabilities(*scored(patients=20), SETTINGS, 1)


def test_the_gradient_of_the_temperature_is_right_and_an_absent_grade_stays_finite() -> None:
    random = np.random.default_rng(0)
    log_p = np.log(random.dirichlet(np.ones(4), 300))
    grade = np.array([random.choice(3, p=p[:3] / p[:3].sum()) for p in np.exp(log_p)])
    inverse, bias = fit_temperature(log_p, grade)
    assert inverse == pytest.approx(1, abs=0.3)  # drawn from the probabilities themselves
    assert np.isfinite(bias).all()
    assert bias[3] == min(bias)
