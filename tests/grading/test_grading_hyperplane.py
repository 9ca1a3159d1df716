"""The hyperplane: true distances, one space for fitting and moving, nothing leaks, nothing stale."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.simulated_latents import cohort
from vertegrade.evaluation.comparison.learning_curve import keep_labels_of
from vertegrade.grading import hyperplane
from vertegrade.grading.hyperplane import (
    C_GRID,
    C_LIMITS,
    WHITENINGS,
    Hyperplane,
    choose_penalty,
    cross_fitted_distance,
    fit_hyperplane,
    pattern_of,
    plane_distance,
    strongest_whitening,
    whitening_of,
)
from vertegrade.grading.rows import (
    GradingError,
    graded_latents,
    in_split,
    patient_folds,
    stack_latents,
)
from vertegrade.settings.grading import GradingSettings

Tables = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]


@pytest.fixture(scope="module")
def tables() -> Tables:
    return cohort()


@pytest.fixture(scope="module", params=["svm", "logistic"])
def plane(request: pytest.FixtureRequest, tables: Tables) -> Hyperplane:
    return fit_hyperplane(*tables, GradingSettings(classifier=request.param), seed=1)


def plane_of(w: list[float], b: float, mean: list[float], std: list[float]) -> Hyperplane:
    numbers = {
        "mean": mean,
        "whitening": np.diag(1 / np.array(std)).tolist(),
        "w": w,
        "pattern": w,
        "whitened": 0.0,
        "b": b,
        "fracture_grade": 1,
        "classifier": "svm",
        "C": 1.0,
    }
    return Hyperplane.from_dict(
        numbers | {"auc_cv": 1.0, "vertebrae": 1, "fractured": 1, "patients": 1, "model_sha256": "a" * 64}
    )


def test_signed_distance_is_the_euclidean_one() -> None:
    # The plane 3x + 4y = 10 is 2 away from the origin; (0, 5) is (20 - 10) / 5 = 2 on its other side.
    distance = plane_distance(np.array([[0.0, 0.0], [0.0, 5.0]]), np.array([3.0, 4.0]), -10.0)
    np.testing.assert_allclose(distance, [-2.0, 2.0])


def test_distance_does_not_change_when_w_and_b_are_scaled_together() -> None:
    z = np.random.default_rng(0).normal(size=(5, 2))
    small, large = (plane_of([0.3 * k, 0.4 * k], -1.0 * k, [1, 2], [3, 4]).signed_distance(z) for k in (1, 50))
    np.testing.assert_allclose(small, large)


@pytest.mark.parametrize("strength", WHITENINGS)
def test_the_pattern_is_the_signal_where_the_weights_also_cancel_noise(strength: float) -> None:
    # The signal is in the first dimension only; the second is the noise of the first, which w = (1, -1) takes away.
    signal, noise = np.random.default_rng(0).normal(size=(2, 20000))
    z = np.stack([signal + noise, noise], axis=1)
    mean, whitening = whitening_of(z, strength)
    pattern = pattern_of((z - mean) @ whitening, np.linalg.solve(whitening, [1.0, -1.0]))
    moved = np.linalg.solve(whitening.T, pattern)
    np.testing.assert_allclose(moved / np.linalg.norm(moved), [1.0, 0.0], atol=0.05)


def test_the_strongest_whitening_that_the_auc_allows_is_chosen() -> None:
    # 50 and 150 vertebrae: the standard error of an AUC of 0.9 is 0.031 (Hanley and McNeil 1982).
    fractured = np.arange(200) < 50
    assert strongest_whitening({0.0: 0.90, 0.5: 0.89, 1.0: 0.875}, fractured) == 1.0
    assert strongest_whitening({0.0: 0.90, 0.5: 0.89, 1.0: 0.86}, fractured) == 0.5
    assert strongest_whitening({0.0: 0.90, 0.5: 0.86, 1.0: 0.86}, fractured) == 0.0


@pytest.mark.parametrize("strength", [0.0, 0.5])
def test_the_plane_lies_in_the_chosen_space(tables: Tables, monkeypatch: pytest.MonkeyPatch, strength: float) -> None:
    def only(auc: dict[float, float], fractured: np.ndarray) -> float:
        assert list(auc) == [0.0, 0.5, 1.0]
        assert len(set(auc.values())) > 1  # each strength was tried for itself
        return strength

    monkeypatch.setattr(hyperplane, "strongest_whitening", only)
    plane = fit_hyperplane(*tables, GradingSettings(), seed=1)
    crops = stack_latents(in_split(tables[0], tables[2], "train"))
    assert plane.whitened == strength
    np.testing.assert_array_equal(plane.whitening, whitening_of(crops, strength)[1])


def test_whitened_latents_are_uncorrelated_and_of_unit_variance() -> None:
    random = np.random.default_rng(3)
    z = random.normal(size=(5000, 4)) @ random.normal(size=(4, 4)) * [1, 10, 100, 1000] + 7
    mean, whitening = whitening_of(z, 1.0)
    np.testing.assert_allclose(np.cov((z - mean) @ whitening, rowvar=False), np.eye(4), atol=0.05)


def test_fewer_crops_than_dimensions_are_whitened_without_blowing_up() -> None:
    random = np.random.default_rng(4)
    train, new = random.normal(size=(10, 50)), random.normal(size=(1000, 50))
    mean, whitening = whitening_of(train, 1.0)
    assert ((new - mean) @ whitening).std() < 2


def test_rescaling_the_latents_columns_leaves_the_distances(tables: Tables, plane: Hyperplane) -> None:
    latents, labels, splits = tables
    scale = np.geomspace(0.01, 100, len(latents["z"].iloc[0]))
    scaled = latents.assign(z=[(z * scale + 5).astype(np.float64) for z in latents["z"]])
    other = fit_hyperplane(scaled, labels, splits, GradingSettings(classifier=plane.classifier), seed=1)  # type: ignore[arg-type]
    np.testing.assert_allclose(
        other.signed_distance(stack_latents(scaled)), plane.signed_distance(stack_latents(latents)), atol=2e-3
    )


def test_a_dimension_that_never_varies_does_no_harm(tables: Tables) -> None:
    latents, labels, splits = tables
    dead = latents.assign(z=[np.append(z, np.float32(0.1)) for z in latents["z"]])
    plane = fit_hyperplane(dead, labels, splits, GradingSettings(), seed=1)
    assert np.isfinite(plane.signed_distance(stack_latents(dead))).all()
    np.testing.assert_allclose(plane.whitening[-1, :-1], 0, atol=1e-6)
    np.testing.assert_allclose(plane.whitening[:-1, -1], 0, atol=1e-6)


def test_only_labelled_training_vertebrae_are_fitted_on(tables: Tables, plane: Hyperplane) -> None:
    latents, labels, splits = tables
    train = set(splits.loc[splits["split"] == "train", "patient_id"])
    spoilt = labels.assign(genant_grade=labels["genant_grade"].where(labels["patient_id"].isin(train), 3.0))
    other = fit_hyperplane(latents, spoilt, splits, GradingSettings(classifier=plane.classifier), seed=1)  # type: ignore[arg-type]
    assert other.to_dict() == plane.to_dict()
    assert plane.patients == len(train)


def test_latents_of_test_patients_do_not_touch_the_normalisation(tables: Tables, plane: Hyperplane) -> None:
    latents, labels, splits = tables
    test = latents["patient_id"].isin(splits.loc[splits["split"] == "test", "patient_id"])
    shifted = latents.assign(z=[z + 100 if far else z for z, far in zip(latents["z"], test, strict=True)])
    other = fit_hyperplane(shifted, labels, splits, GradingSettings(classifier=plane.classifier), seed=1)  # type: ignore[arg-type]
    np.testing.assert_array_equal(other.mean, plane.mean)


def test_not_evaluable_and_unusable_vertebrae_are_left_out(tables: Tables) -> None:
    latents, labels, splits = tables
    fewer = graded_latents(
        latents.assign(evaluable=latents["vertebra"] != 8),
        labels.assign(usable=labels["vertebra"] != 9),
        splits,
        "train",
    )
    assert len(fewer.grade) == len(graded_latents(latents, labels, splits, "train").grade) * 10 // 12


def test_the_order_of_rows_does_not_matter(tables: Tables, plane: Hyperplane) -> None:
    latents, labels, splits = tables
    other = fit_hyperplane(
        latents.sample(frac=1, random_state=0),
        labels.sample(frac=1, random_state=1),
        splits,
        GradingSettings(classifier=plane.classifier),  # type: ignore[arg-type]
        seed=1,
    )
    assert other.to_dict() == plane.to_dict()


def test_json_keeps_every_bit(plane: Hyperplane, tmp_path: Path) -> None:
    text = json.dumps(plane.to_dict(), allow_nan=False)
    again = Hyperplane.from_dict(json.loads(text))
    assert again.sha256() == plane.sha256()
    z = np.random.default_rng(0).normal(size=(3, len(plane.w)))
    np.testing.assert_array_equal(again.signed_distance(z), plane.signed_distance(z))


def test_stale_latents_are_refused(tables: Tables, plane: Hyperplane) -> None:
    with pytest.raises(GradingError, match="stale latents: made by the encoder bbbbbbbbbbbb"):
        plane.check_latents(tables[0].assign(model_sha256="b" * 64))


def test_latents_of_two_encoders_are_refused(tables: Tables) -> None:
    latents, labels, splits = tables
    mixed = latents.assign(model_sha256=["a" * 64] * 10 + ["b" * 64] * (len(latents) - 10))
    with pytest.raises(GradingError, match="exactly one encoder"):
        fit_hyperplane(mixed, labels, splits, GradingSettings(), seed=1)


def test_another_latent_length_is_refused(plane: Hyperplane) -> None:
    with pytest.raises(GradingError, match="fitted on 24 dimensions"):
        plane.signed_distance(np.zeros((2, 25)))


def test_latents_that_are_not_finite_are_refused_by_scan(tables: Tables) -> None:
    latents = tables[0].iloc[:2].copy()
    latents["z"] = [np.zeros(2), np.array([0.0, np.nan])]
    with pytest.raises(GradingError, match="not finite, first in scan p000-1"):
        stack_latents(latents)


@pytest.mark.parametrize("grade", [0.0, 3.0])
def test_one_class_only_is_a_clear_error(tables: Tables, grade: float) -> None:
    latents, labels, splits = tables
    with pytest.raises(GradingError, match="needs at least 2 patients with a vertebra of grade 1 or more"):
        fit_hyperplane(latents, labels.assign(genant_grade=grade), splits, GradingSettings(), seed=1)


def test_no_labels_in_training_is_a_clear_error(tables: Tables) -> None:
    latents, labels, splits = tables
    with pytest.raises(GradingError, match="no evaluable vertebra of the train split"):
        fit_hyperplane(latents, labels.assign(usable=False), splits, GradingSettings(), seed=1)


def test_a_scan_of_two_patients_is_refused(tables: Tables) -> None:
    latents, labels, splits = tables
    with pytest.raises(GradingError, match="scan p000-1 has one patient in the latents"):
        graded_latents(latents, labels.assign(patient_id=labels["patient_id"].replace("p000", "p001")), splits, "train")


def test_folds_keep_patients_whole_and_give_each_a_fracture(tables: Tables) -> None:
    rows = graded_latents(*tables, "train")
    folds = patient_folds(rows.grade, rows.patient, 1, 5, seed=3)
    assert pd.DataFrame({"patient": rows.patient, "fold": folds}).groupby("patient")["fold"].nunique().max() == 1
    assert [bool((rows.grade[folds == fold] >= 1).any()) for fold in range(5)] == [True] * 5


def test_few_fractured_patients_give_fewer_folds() -> None:
    patient = np.repeat(np.arange(10), 3)
    grade = np.where((patient < 3) & (np.arange(30) % 3 == 0), 2, 0)
    assert set(patient_folds(grade, patient, 1, 5, seed=0)) == {0, 1, 2}


def test_out_of_fold_distances_ignore_the_own_label(tables: Tables) -> None:
    rows = graded_latents(*tables, "train")
    mean, whitening = whitening_of(rows.z, 1.0)
    z_n, fractured = (rows.z - mean) @ whitening, rows.grade >= 1
    folds = patient_folds(rows.grade, rows.patient, 1, 5, seed=0)
    flipped = np.where(folds == 0, ~fractured, fractured)
    one, two = (cross_fitted_distance(z_n, labels, folds, "logistic", 0.01) for labels in (fractured, flipped))
    np.testing.assert_array_equal(one[folds == 0], two[folds == 0])
    assert not np.allclose(one[folds != 0], two[folds != 0])


def test_a_learning_curve_keeps_whole_patients_of_the_training_split_only(tables: Tables) -> None:
    _, labels, splits = tables
    kept = keep_labels_of(labels, splits, 0.25, 1, seed=5)
    counts = kept.merge(splits, on="patient_id").groupby(["split", "patient_id"]).size()
    assert set(counts) == {12}
    assert len(counts["train"]) == pytest.approx(9, abs=1)
    assert len(counts["test"]) == len(counts["validation"]) == 12


def test_a_learning_curve_never_falls_below_three_fractured_patients(tables: Tables) -> None:
    _, labels, splits = tables
    kept = keep_labels_of(labels, splits, 0.01, 1, seed=5).merge(splits, on="patient_id")
    train = kept[kept["split"] == "train"]
    assert train.loc[train["genant_grade"] >= 1, "patient_id"].nunique() == 3


def test_in_split_takes_evaluable_rows_of_one_split(tables: Tables) -> None:
    latents, _, splits = tables
    rows = in_split(latents.assign(evaluable=latents["vertebra"] > 10), splits, "test")
    assert rows["vertebra"].min() == 11
    assert set(rows["patient_id"]) == set(splits.loc[splits["split"] == "test", "patient_id"])


def test_folds_whose_training_part_has_one_class_are_a_clear_error(tables: Tables) -> None:
    # Six patients with a fracture share five folds, and the only two with intact vertebrae share one of them.
    latents, labels, splits = tables
    patients = splits.loc[splits["split"] == "train", "patient_id"][:6].tolist()
    number = labels["patient_id"].map({patient: at for at, patient in enumerate(patients)})
    six, number = labels[number.notna()], number.dropna().to_numpy(np.int64)
    folds = patient_folds(np.full(len(six), 2), number, 1, 5, seed=1, least=0)
    shared = folds == np.bincount(folds).argmax()
    grades = np.where(shared & (six["vertebra"] > 8), 0.0, 2.0)
    with pytest.raises(GradingError, match="only one class among the vertebrae of a fold"):
        fit_hyperplane(latents, six.assign(genant_grade=grades), splits, GradingSettings(folds=5), seed=1)


@pytest.mark.parametrize("classifier", ["svm", "logistic"])
def test_an_encoder_that_says_nothing_is_a_clear_error(tables: Tables, classifier: str) -> None:
    latents, labels, splits = tables
    same = latents.assign(z=[np.ones(4, np.float32)] * len(latents))
    with pytest.raises(GradingError, match="do not differ between the classes"):
        fit_hyperplane(same, labels, splits, GradingSettings(classifier=classifier), seed=1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("best", "expected", "tries"),
    [(1e-2, 1e-2, 5), (1e2, 1e2, 8), (1e-5, 1e-5, 7), (1e9, C_LIMITS[1], 8), (1e-9, C_LIMITS[0], 7)],
)
def test_the_grid_goes_on_until_the_best_penalty_is_inside(
    monkeypatch: pytest.MonkeyPatch, best: float, expected: float, tries: int
) -> None:
    """A vertebra on the wrong side for each ten between a penalty and the best one."""
    fractured, tried = np.arange(40) >= 20, []

    def distance(z_n: np.ndarray, fractured: np.ndarray, folds: np.ndarray, classifier: str, penalty: float):
        tried.append(penalty)
        wrong = round(abs(np.log10(penalty / best)))
        return np.where(np.arange(40) < 20 + wrong, -1.0, 1.0)

    monkeypatch.setattr(hyperplane, "cross_fitted_distance", distance)
    found, auc, _ = choose_penalty(np.zeros((40, 2)), fractured, np.arange(40) % 4, "logistic")
    assert found == expected
    assert len(tried) == len(set(tried)) == tries
    assert auc == (1.0 if found == best else pytest.approx(auc))
    assert found in tried
    plane = plane_of([1.0], 0.0, [0.0], [1.0])
    assert not plane.at_the_end()
    assert dataclasses.replace(plane, C=expected).at_the_end() == (best in (1e9, 1e-9))


def test_equal_penalties_do_not_extend_the_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def distance(z_n: np.ndarray, fractured: np.ndarray, folds: np.ndarray, classifier: str, penalty: float):
        tried.append(penalty)
        return fractured.astype(float)

    monkeypatch.setattr(hyperplane, "cross_fitted_distance", distance)
    found = choose_penalty(np.zeros((40, 2)), np.arange(40) >= 20, np.arange(40) % 4, "logistic")
    assert found[:2] == (C_GRID[0], 1.0)
    assert tried == [*C_GRID, 1e-5]
