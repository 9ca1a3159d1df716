"""What the hyperplane weighs, chooses and leaves alone, by hand."""

import numpy as np
import pandas as pd
import pytest

from helpers.simulated_latents import cohort
from vertegrade.grading import hyperplane
from vertegrade.grading.hyperplane import (
    C_GRID,
    choose_penalty,
    fit_hyperplane,
    fit_plane,
    pattern_of,
    plane_distance,
    whitening_of,
)
from vertegrade.grading.rows import graded_latents, in_split, patient_folds, stack_latents
from vertegrade.settings.grading import GradingSettings

SETTINGS = GradingSettings()


@pytest.mark.parametrize("classifier", ["svm", "logistic"])
def test_few_fractures_weigh_as_much_as_many_intact(classifier: str) -> None:
    """Two like spreads around 0 and 2: the plane lies midway, however many are on either side."""
    random = np.random.default_rng(0)
    z = np.concatenate([random.normal(0, 1, (3000, 1)), random.normal(2, 1, (100, 1))])
    w, b = fit_plane(z, np.arange(3100) >= 3000, classifier, 1.0)
    assert -b / w[0] == pytest.approx(1.0, abs=0.2)


def test_the_strongest_penalty_among_equals_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a weaker or stronger one is as good, the grid does not go on either."""
    fractured, tried = np.arange(40) >= 20, []

    def alike(z_n: np.ndarray, fractured: np.ndarray, folds: np.ndarray, classifier: str, penalty: float) -> np.ndarray:
        tried.append(penalty)
        return np.where(np.arange(40) >= 25, 1.0, -1.0)

    monkeypatch.setattr(hyperplane, "cross_fitted_distance", alike)
    found, _, _ = choose_penalty(np.zeros((40, 2)), fractured, np.arange(40) % 4, "logistic")
    assert found == C_GRID[0] == 1e-4
    assert sorted(tried) == sorted([*C_GRID, 1e-5])


def test_the_pattern_raises_the_distance_by_one() -> None:
    random = np.random.default_rng(1)
    z, w = random.normal(size=(500, 4)) @ random.normal(size=(4, 4)), np.array([3.0, -1.0, 0.5, 2.0])
    raised = plane_distance(z + pattern_of(z, w), w, 0.7) - plane_distance(z, w, 0.7)
    np.testing.assert_allclose(raised, 1.0)


@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_whitening_leaves_the_axes_and_scales_each_dimension(strength: float) -> None:
    """Two dimensions of other units and correlated: as by hand, of the covariance as scikit-learn shrinks it."""
    from sklearn.covariance import ledoit_wolf

    random = np.random.default_rng(2)
    z = random.normal(size=(400, 2)) @ np.array([[1.0, 8.0], [0.0, 6.0]]) + [3, -5]
    standard = (z - z.mean(axis=0)) / z.std(axis=0)
    mean, whitening = whitening_of(z, strength)
    np.testing.assert_allclose(mean, z.mean(axis=0))
    variance, axes = np.linalg.eigh(ledoit_wolf(standard, assume_centered=True)[0])
    wanted = standard @ axes @ np.diag(variance ** (-strength / 2)) @ axes.T
    np.testing.assert_allclose((z - mean) @ whitening, wanted, atol=1e-9)


def test_unlabelled_training_crops_count_for_mean_and_whitening() -> None:
    latents, labels, splits = cohort()
    few = labels.assign(usable=labels["vertebra"] % 2 == 0)
    plane = fit_hyperplane(latents, few, splits, SETTINGS, seed=1)
    crops = stack_latents(in_split(latents, splits, "train"))
    rows = graded_latents(latents, few, splits, "train")
    mean, whitening = whitening_of(crops, plane.whitened)
    np.testing.assert_array_equal(plane.mean, mean)
    np.testing.assert_array_equal(plane.whitening, whitening)
    assert (plane.vertebrae, plane.fractured) == (len(rows.grade), (rows.grade >= 1).sum())
    assert plane.vertebrae == len(crops) // 2
    np.testing.assert_allclose(plane.normalise(crops), (crops - mean) @ whitening)


def test_whatever_is_as_severe_as_the_setting_is_a_fracture() -> None:
    latents, labels, splits = cohort()
    train = set(splits.loc[splits["split"] == "train", "patient_id"])
    grades = labels.loc[labels["patient_id"].isin(train), "genant_grade"]
    for first in (1, 2):
        plane = fit_hyperplane(latents, labels, splits, GradingSettings(fracture_grade=first), seed=1)
        assert plane.fractured == (grades >= first).sum()


def test_another_seed_gives_other_folds() -> None:
    rows = graded_latents(*cohort(), "train")
    one, two = (patient_folds(rows.grade, rows.patient, 1, 5, seed) for seed in (1, 2))
    assert not np.array_equal(one, two)


def test_a_patient_of_two_scans_is_one_patient() -> None:
    latents, labels, splits = cohort()
    second = latents["vertebra"] > 13
    torn = [table.assign(scan_id=table["scan_id"].mask(second, table["scan_id"] + "b")) for table in (latents, labels)]
    rows = graded_latents(*torn, splits, "train")
    frame = pd.DataFrame({"patient": rows.patient})
    assert frame["patient"].nunique() == (splits["split"] == "train").sum()
    assert (frame["patient"].value_counts() == 12).all()


@pytest.mark.parametrize("seed", range(4))
def test_each_fold_has_as_many_patients_of_each_worst_grade(seed: int) -> None:
    patient, worst = np.repeat(np.arange(40), 2), np.repeat([3, 2, 1, 0], 10)
    grade = np.where(np.arange(80) % 2 == 0, worst[patient], 0)
    folds = patient_folds(grade, patient, 1, 5, seed)[::2]
    for value in range(4):
        assert np.bincount(folds[worst == value], minlength=5).tolist() == [2] * 5
