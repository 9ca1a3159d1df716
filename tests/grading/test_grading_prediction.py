"""The predictions table of a method, and the PCA baseline that feeds it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from helpers.simulated_latents import cohort
from vertegrade.grading.calibration import Calibration, calibrate
from vertegrade.grading.hyperplane import Hyperplane, fit_hyperplane
from vertegrade.grading.prediction import predict
from vertegrade.grading.rows import GradingError
from vertegrade.settings.grading import GradingSettings
from vertegrade.tables import LATENTS, PREDICTIONS, empty_table, read_table

SETTINGS = GradingSettings()
Fitted = tuple[tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame], Hyperplane, Calibration]


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    tables = cohort(patients=80)
    plane = fit_hyperplane(*tables, SETTINGS, seed=1)
    return tables, plane, calibrate(*tables, plane, SETTINGS, seed=1)


@pytest.fixture(scope="module")
def predictions(fitted: Fitted) -> pd.DataFrame:
    (latents, _, splits), plane, calibration = fitted
    return predict(latents, plane, calibration, splits, "dae")


def test_every_latent_gets_one_row_in_order(fitted: Fitted, predictions: pd.DataFrame) -> None:
    latents = fitted[0][0]
    assert predictions[["scan_id", "vertebra"]].equals(latents[["scan_id", "vertebra"]])
    assert set(predictions["method"]) == {"dae"}


def test_the_simulated_structure_is_found(fitted: Fitted, predictions: pd.DataFrame) -> None:
    test = predictions[predictions["split"] == "test"].merge(fitted[0][1], on=["patient_id", "scan_id", "vertebra"])
    fractured = test[test["genant_grade"] >= 1]
    assert roc_auc_score(test["genant_grade"] >= 1, test["severity"]) > 0.9
    assert spearmanr(fractured["severity"], fractured["height_loss"])[0] > 0.6
    inside = (test["severity_low"] <= test["genant_grade"]) & (test["genant_grade"] <= test["severity_high"])
    assert inside.mean() > 0.85
    assert inside[test["genant_grade"] >= 1].mean() > 0.85
    assert (test["severity_high"] - test["severity_low"]).mean() < 1.6


def test_not_evaluable_vertebrae_keep_their_row_and_reason_without_numbers(fitted: Fitted) -> None:
    (latents, _, splits), plane, calibration = fitted
    shown = latents.iloc[:3].assign(evaluable=[True, False, True], reason=["", "outside_scan", ""])
    row = predict(shown, plane, calibration, splits, "dae").loc[1]
    assert (row["grade"], row["reason"], row["evaluable"]) == (-1, "outside_scan", False)
    assert row[["signed_distance", "severity", "p_fracture", "p_grade_0", "severity_low"]].isna().all()


def test_doubt_of_the_latents_stands_in_the_predictions(fitted: Fitted) -> None:  # field test A11
    (latents, _, splits), plane, calibration = fitted
    shown = latents.iloc[:2].assign(label_confidence=[0.2, np.nan], flags=["doubtful_points", ""])
    rows = predict(shown, plane, calibration, splits, "dae")
    assert rows["label_confidence"].iloc[0] == 0.2
    assert np.isnan(rows["label_confidence"].iloc[1])
    assert rows["flags"].tolist() == ["doubtful_points", ""]


def with_errors(latents: pd.DataFrame, direction: np.ndarray, sd: np.ndarray) -> pd.DataFrame:
    """The latents with one error each, so many standard deviations (N,) long."""
    return latents.assign(z_errors=list((sd[:, None] * direction).astype(np.float32)))


def test_errors_of_the_latents_draw_probabilities_to_the_middle_and_widen_intervals(fitted: Fitted) -> None:
    """Field test A11: a vertebra that was hardly measured is not certain; one measured as usual is as it was."""
    (latents, labels, splits), _, _ = fitted
    severe = labels["height_loss"].to_numpy() > 0.3
    direction = np.stack(latents["z"][severe]).mean(axis=0) - np.stack(latents["z"][~severe]).mean(axis=0)
    usual = with_errors(latents, direction, np.full(len(latents), 0.05))
    plane = fit_hyperplane(usual, labels, splits, SETTINGS, seed=1)
    calibration = calibrate(usual, labels, splits, plane, SETTINGS, seed=1)
    plain = predict(latents, plane, calibration, splits, "dae")
    pd.testing.assert_frame_equal(predict(usual, plane, calibration, splits, "dae"), plain)
    doubtful = predict(with_errors(latents, direction, np.full(len(latents), 0.6)), plane, calibration, splits, "dae")
    sure = plain["p_fracture"] > 0.9
    assert sure.sum() > 10
    assert (doubtful["p_fracture"] < plain["p_fracture"])[sure].all()
    wider = (doubtful["severity_high"] - doubtful["severity_low"]) - (plain["severity_high"] - plain["severity_low"])
    assert (wider[sure] > 0).all()
    assert (doubtful["signed_distance"] == plain["signed_distance"]).all()
    unknown = with_errors(latents, direction, np.full(len(latents), np.nan))
    pd.testing.assert_frame_equal(predict(unknown, plane, calibration, splits, "dae"), plain)


def test_predictions_do_not_depend_on_the_other_rows(fitted: Fitted, predictions: pd.DataFrame) -> None:
    (latents, _, splits), plane, calibration = fitted
    alone = predict(latents.iloc[[7]], plane, calibration, splits, "dae")
    assert alone.loc[0, "severity"] == pytest.approx(predictions.loc[7, "severity"], rel=1e-12)


def test_p_fracture_is_the_sum_of_fractured_grades(fitted: Fitted, predictions: pd.DataFrame) -> None:
    total = predictions[["p_grade_1", "p_grade_2", "p_grade_3"]].sum(axis=1)
    np.testing.assert_allclose(predictions["p_fracture"], total)


def test_predictions_survive_parquet(predictions: pd.DataFrame, tmp_path: Path) -> None:
    predictions.to_parquet(tmp_path / "dae.parquet")
    pd.testing.assert_frame_equal(read_table(tmp_path / "dae.parquet", PREDICTIONS), predictions)


def test_latents_read_back_from_parquet_give_the_same(
    fitted: Fitted, predictions: pd.DataFrame, tmp_path: Path
) -> None:
    (latents, _, splits), plane, calibration = fitted
    latents.to_parquet(tmp_path / "latents.parquet")
    again = predict(read_table(tmp_path / "latents.parquet", LATENTS), plane, calibration, splits, "dae")
    pd.testing.assert_frame_equal(again, predictions)


def test_no_latents_give_an_empty_table(fitted: Fitted) -> None:
    (_, _, splits), plane, calibration = fitted
    assert len(predict(empty_table(LATENTS), plane, calibration, splits, "dae")) == 0


def test_a_calibration_of_another_plane_is_refused(fitted: Fitted) -> None:
    (latents, labels, splits), _, calibration = fitted
    other = fit_hyperplane(latents, labels, splits, GradingSettings(fracture_grade=2), seed=1)
    with pytest.raises(GradingError, match="belongs to another hyperplane"):
        predict(latents, other, calibration, splits, "dae")


def test_stale_latents_are_refused(fitted: Fitted) -> None:
    (latents, _, splits), plane, calibration = fitted
    with pytest.raises(GradingError, match="stale latents"):
        predict(latents.assign(model_sha256="c" * 64), plane, calibration, splits, "dae")


def test_patients_without_a_split_are_refused(fitted: Fitted) -> None:
    (latents, _, splits), plane, calibration = fitted
    with pytest.raises(ValueError, match="without a split: p000"):
        predict(latents, plane, calibration, splits.iloc[1:], "dae")
