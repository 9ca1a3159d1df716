"""Novelty: how many new patients' vertebrae are flagged, what is found, and that severity alone is not unusual."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter

from helpers.simulated_latents import appearance_of, cohort
from helpers.toy_crops import toy_crops
from vertegrade.grading.appearance import LENGTH, appearance
from vertegrade.grading.calibration import Calibration, calibrate
from vertegrade.grading.hyperplane import Hyperplane, fit_hyperplane
from vertegrade.grading.novelty import (
    LIMIT,
    STEEPEST,
    Novelty,
    _usual,
    fit_contrasts,
    fit_distance,
    fit_novelty,
    patient_weights,
    weighted_quantile,
)
from vertegrade.grading.prediction import NUMBERS, predict, with_novelty
from vertegrade.grading.rows import GradingError, stack_latents
from vertegrade.model_files import ModelFileError
from vertegrade.settings.grading import GradingSettings
from vertegrade.tables import PREDICTIONS, check_table, has_flag

SETTINGS = GradingSettings()


@pytest.fixture(scope="module")
def tables() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """LATENTS, LABELS and PATIENT_SPLITS; a quarter of the patients are test."""
    return cohort(patients=160)


@pytest.fixture(scope="module")
def model(tables: tuple[pd.DataFrame, ...]) -> tuple[Hyperplane, Calibration]:
    plane = fit_hyperplane(*tables, SETTINGS, seed=1)
    return plane, calibrate(*tables, plane, SETTINGS, seed=1)


@pytest.fixture(scope="module")
def novelty(tables: tuple[pd.DataFrame, ...], model: tuple[Hyperplane, Calibration]) -> Novelty:
    latents, _, splits = tables
    return fit_novelty(latents, appearance_of(latents), splits, *model)


@pytest.fixture(scope="module")
def graded(tables: tuple[pd.DataFrame, ...], model: tuple[Hyperplane, Calibration]) -> pd.DataFrame:
    latents, _, splits = tables
    return predict(latents, *model, splits, "dae")


def test_few_vertebrae_of_new_patients_are_unlike_the_training(
    tables: tuple[pd.DataFrame, ...], graded: pd.DataFrame, novelty: Novelty
) -> None:
    latents = tables[0]
    judged = with_novelty(graded, latents, appearance_of(latents), novelty, False)
    test = judged[judged["split"] == "test"]
    assert has_flag(test, "unlike_training").mean() == pytest.approx(1 - LIMIT, abs=0.02)
    assert test["novelty"].median() == pytest.approx(0.5, abs=0.1)
    assert (judged["novelty"] >= LIMIT).equals(pd.Series(has_flag(judged, "unlike_training")))


def test_latents_and_images_far_from_the_training_are_found(
    tables: tuple[pd.DataFrame, ...], graded: pd.DataFrame, novelty: Novelty
) -> None:
    latents, rows = tables[0], graded[graded["split"] == "test"].index
    z, x = stack_latents(latents), np.stack(appearance_of(latents)["x"].tolist()).astype(np.float64)
    severity = graded["severity"].to_numpy()
    away = z + 8 * z.std(axis=0) * np.sign(np.random.default_rng(3).normal(size=z.shape))
    assert (novelty.shares(away, x, severity)[rows] == 1).mean() > 0.95
    odd = x.copy()
    odd[:, :20] += 6
    assert (novelty.shares(z, odd, severity)[rows] == 1).mean() > 0.95


def test_a_number_alone_makes_nothing_unusual_however_large(
    tables: tuple[pd.DataFrame, ...], graded: pd.DataFrame, novelty: Novelty
) -> None:
    latents = tables[0]
    z, x = stack_latents(latents), np.stack(appearance_of(latents)["x"].tolist()).astype(np.float64)
    large, huge = x.copy(), x.copy()
    large[:, 3], huge[:, 3] = 1e3, 1e9
    severity = graded["severity"].to_numpy()
    np.testing.assert_array_equal(novelty.shares(z, large, severity), novelty.shares(z, huge, severity))


def spread_out(latents: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """Latents whose fractures are scattered more the more height is lost."""
    z, loss = np.stack(latents["z"].tolist()), labels["height_loss"].to_numpy()
    noise = np.random.default_rng(5).normal(size=z.shape) * z.std(axis=0)
    wide = z + 2 * np.clip(loss - 0.1, 0, None)[:, None] * noise
    return latents.assign(z=list(wide.astype(np.float32)))


def test_severe_fractures_are_not_unlike_the_training_because_they_are_severe() -> None:
    latents, labels, splits = cohort(patients=240, noise=0.3)
    wide = spread_out(latents, labels)
    plane = fit_hyperplane(wide, labels, splits, SETTINGS, seed=1)
    calibration = calibrate(wide, labels, splits, plane, SETTINGS, seed=1)
    novelty = fit_novelty(wide, appearance_of(wide), splits, plane, calibration)
    severity = predict(wide, plane, calibration, splits, "dae")["severity"].to_numpy()
    x = np.stack(appearance_of(wide)["x"].tolist()).astype(np.float64)
    new = ~latents["patient_id"].isin(splits.loc[splits["split"] == "train", "patient_id"]).to_numpy()

    def far(fitted: Novelty) -> float:
        """How many times as often as intact vertebrae fractures are among the tenth most unusual."""
        shares = fitted.shares(stack_latents(wide), x, severity)[new]
        odd = shares >= np.quantile(shares, 0.9)
        fractured = labels["genant_grade"].to_numpy()[new] >= 2
        return float(odd[fractured].mean() / odd[~fractured].mean())

    level = novelty.usual * np.array([[1.0], [0.0], [0.0]])
    assert far(replace(novelty, usual=level)) > 2.5  # as it would be without the comparison
    assert far(novelty) < 1.5


def test_severe_fractures_are_as_usual_where_validation_has_none() -> None:
    """How unusual a fracture may be is seen on training patients: else 96 % of these severe ones are withheld."""
    latents, labels, splits = cohort(patients=240, noise=0.3)
    wide = spread_out(latents, labels)
    broken = set(labels.loc[labels["genant_grade"] > 0, "patient_id"])
    moved = splits["split"].eq("validation") & splits["patient_id"].isin(broken)
    splits = splits.assign(split=splits["split"].mask(moved, "test"))
    plane = fit_hyperplane(wide, labels, splits, SETTINGS, seed=1)
    calibration = calibrate(wide, labels, splits, plane, SETTINGS, seed=1)
    looks = appearance_of(wide)
    novelty = fit_novelty(wide, looks, splits, plane, calibration)
    judged = with_novelty(predict(wide, plane, calibration, splits, "dae"), wide, looks, novelty, False)
    judged = judged[judged["split"] == "test"].merge(labels, on=["scan_id", "vertebra"])
    unlike = has_flag(judged, "unlike_training")[judged["genant_grade"] >= 2]
    assert len(unlike) > 100
    assert unlike.mean() < 0.1


def test_a_long_scan_does_not_outvote_short_ones() -> None:
    patients = pd.Series(["a"] * 98 + ["b", "c"])
    weights = patient_weights(patients)
    assert weights.sum() == pytest.approx(1)
    np.testing.assert_allclose(weights[[0, 98, 99]], [1 / 3 / 98, 1 / 3, 1 / 3])
    values = np.concatenate([np.zeros(98), [1, 2]])
    assert weighted_quantile(values, weights, np.array([0.3, 0.5, 0.99])).tolist() == [0, 1, 2]


def test_numbers_that_never_vary_do_no_harm() -> None:
    x = np.random.default_rng(0).normal(size=(50, 4))
    x[:, 2], x[:, 3] = 7.0, np.where(np.arange(50) == 0, 1.0, 0.0)
    assert np.isfinite(fit_distance(x).log_of(x)).all()


def test_novelty_survives_json(tables: tuple[pd.DataFrame, ...], graded: pd.DataFrame, novelty: Novelty) -> None:
    latents = tables[0]
    again = Novelty.from_dict(json.loads(json.dumps(novelty.to_dict())))
    pd.testing.assert_frame_equal(
        with_novelty(graded, latents, appearance_of(latents), again, True),
        with_novelty(graded, latents, appearance_of(latents), novelty, True),
    )
    with pytest.raises(ModelFileError, match="no 'latent'"):
        Novelty.from_dict({key: value for key, value in novelty.to_dict().items() if key != "latent"})


def test_a_vertebra_has_the_same_novelty_alone(
    tables: tuple[pd.DataFrame, ...], graded: pd.DataFrame, novelty: Novelty
) -> None:
    latents = tables[0]
    looks = appearance_of(latents)
    all_of_them = with_novelty(graded, latents, looks, novelty, False)
    alone = with_novelty(graded.iloc[[5]].reset_index(drop=True), latents, looks, novelty, False)
    assert alone.loc[0, "novelty"] == all_of_them.loc[5, "novelty"]


def test_what_does_not_belong_together_is_refused(
    tables: tuple[pd.DataFrame, ...],
    model: tuple[Hyperplane, Calibration],
    graded: pd.DataFrame,
    novelty: Novelty,
) -> None:
    latents, _, splits = tables
    with pytest.raises(GradingError, match="belongs to another calibration"):
        novelty.check(replace(model[1], usual_errors=[1.0]))
    with pytest.raises(GradingError, match="no appearance of vertebrae of scan p000-1"):
        with_novelty(graded, latents, appearance_of(latents).iloc[1:], novelty, False)
    with pytest.raises(GradingError, match="rows of 3 numbers, novelty was fitted on 24"):
        novelty.shares(np.zeros((1, 3)), np.zeros((1, LENGTH)), np.zeros(1))
    with pytest.raises(GradingError, match="no evaluable vertebra in the validation split"):
        nobody = splits.assign(split=splits["split"].replace("validation", "test"))
        fit_novelty(latents, appearance_of(latents), nobody, *model)


@pytest.fixture(scope="module")
def odd(graded: pd.DataFrame) -> list[int]:
    """Rows that are made unusual: one of each grade from 0 to 3."""
    return [int(graded.index[graded["grade"] == grade][0]) for grade in range(4)]


def judged(
    tables: tuple[pd.DataFrame, ...], graded: pd.DataFrame, novelty: Novelty, odd: list[int], withhold: bool
) -> pd.DataFrame:
    """Predictions where the odd rows look unlike anything; row 1 is not evaluable, row 2 has a flag of its own."""
    assert not {1, 2} & set(odd)
    looks = appearance_of(tables[0])
    strange = looks["x"].tolist()
    for row in odd:
        strange[row] = strange[row] + np.float32(9)
    before = graded.assign(flags="")
    before.loc[1, [*NUMBERS, "grade"]] = [*[np.nan] * len(NUMBERS), -1]
    before["evaluable"], before["reason"] = before.index != 1, np.where(before.index == 1, "outside_scan", "")
    before.loc[[2, *odd], "flags"] = "metal"
    return with_novelty(check_table(before, PREDICTIONS, "p"), tables[0], looks.assign(x=strange), novelty, withhold)


def test_withheld_rows_lose_their_numbers_and_keep_why(
    tables: tuple[pd.DataFrame, ...], graded: pd.DataFrame, novelty: Novelty, odd: list[int]
) -> None:
    table = judged(tables, graded, novelty, odd, withhold=True)
    rows = table.loc[odd]
    assert set(rows["reason"]) == {"unlike_training"}
    assert not rows["evaluable"].any()
    assert rows[NUMBERS].isna().all(axis=None)
    assert (rows["grade"] == -1).all()
    assert (rows["novelty"] == 1).all()
    assert rows["flags"].tolist() == ["metal unlike_training"] * 2 + ["look_at_this metal unlike_training"] * 2
    others = table.drop(index=[1, *table.index[has_flag(table, "unlike_training")]])
    assert others["evaluable"].all()
    assert others["severity"].notna().all()


def test_flagged_rows_keep_their_grade(
    tables: tuple[pd.DataFrame, ...], graded: pd.DataFrame, novelty: Novelty, odd: list[int]
) -> None:
    table = judged(tables, graded, novelty, odd, withhold=False)
    assert table.loc[odd, "grade"].tolist() == [0, 1, 2, 3]
    assert table.loc[odd, "flags"].tolist() == ["metal unlike_training"] * 4
    assert table["evaluable"].drop(index=1).all()
    assert table.loc[2, "flags"].split()[0] == "metal"


@pytest.mark.parametrize("withhold", [True, False])
def test_a_vertebra_without_a_grade_has_no_novelty_and_keeps_its_reason(
    tables: tuple[pd.DataFrame, ...], graded: pd.DataFrame, novelty: Novelty, odd: list[int], withhold: bool
) -> None:
    row = judged(tables, graded, novelty, odd, withhold).loc[1]
    assert (row["reason"], row["flags"], row["evaluable"]) == ("outside_scan", "", False)
    assert np.isnan(row["novelty"])


STRANGE = {
    "front to back": lambda hu: hu[..., ::-1],
    "HU halved": lambda hu: hu * 0.5,
    "HU doubled": lambda hu: hu * 2,
    "blurred": lambda hu: gaussian_filter(hu, (0, 0, 4, 4)),
    "noisy": lambda hu: hu + np.random.default_rng(0).normal(0, 200, hu.shape),
    "brighter": lambda hu: hu + 300,
    "windowed": lambda hu: np.clip(hu, -160, 240) + 160,
    "empty": lambda hu: np.zeros_like(hu),
}


@pytest.fixture(scope="module")
def of_images() -> tuple[Novelty, np.ndarray]:
    """Novelty by the image alone (latents say nothing), of toy crops; crops of other patients."""
    toy = toy_crops(70, 4, seed=4)
    names = np.array([f"p{patient:03d}" for patient in toy.patient])
    keys = {"patient_id": names, "scan_id": names, "vertebra": np.tile(np.arange(8, 12), 70)}
    looks = pd.DataFrame(keys | {"x": list(appearance(toy.pixels))})
    latents, labels, splits = cohort(patients=70, vertebrae=4)
    named = dict(zip(sorted(set(latents["patient_id"])), sorted(set(names)), strict=True))
    latents = latents.assign(patient_id=latents["patient_id"].map(named), scan_id=names)
    labels = labels.assign(patient_id=labels["patient_id"].map(named), scan_id=names)
    splits = splits.assign(patient_id=splits["patient_id"].map(named))
    plane = fit_hyperplane(latents, labels, splits, SETTINGS, seed=1)
    calibration = calibrate(latents, labels, splits, plane, SETTINGS, seed=1)
    fitted = fit_novelty(latents, looks, splits, plane, calibration)
    return fitted, toy_crops(15, 4, seed=9).pixels


@pytest.mark.parametrize("kind", STRANGE)
def test_strange_images_are_found(kind: str, of_images: tuple[Novelty, np.ndarray]) -> None:
    novelty, crops = of_images
    z, severity = np.tile(novelty.latent.median, (len(crops), 1)), np.zeros(len(crops))

    def unlike(hu: np.ndarray) -> float:
        pixels = np.rint(hu).clip(-1024, 3071).astype(np.int16)
        return float((novelty.shares(z, appearance(pixels), severity) >= LIMIT).mean())

    assert unlike(crops) < 0.2  # few patients to learn from
    assert unlike(STRANGE[kind](crops.astype(np.float64))) > 0.9


def test_contrasts_grow_with_what_they_are_named_for() -> None:
    crops = toy_crops(20, 4, seed=2).pixels
    x = appearance(crops)
    directions, offsets = fit_contrasts(x)
    halved = appearance(np.rint(crops * 0.5).astype(np.int16))
    altered = [appearance(crops[..., ::-1, :]), appearance(crops[..., ::-1]), halved]
    own = x @ directions + offsets
    for column, other in enumerate(altered):
        grown = other @ directions[:, column] + offsets[column]
        assert (grown > own[:, column]).mean() > 0.95
        np.testing.assert_allclose((grown + own[:, column]).mean(), 0, atol=0.3)


def test_slopes_stay_within_reason_where_severities_hardly_vary() -> None:
    """A tiny cohort: a slope of hundreds per grade made limits infinite."""
    random = np.random.default_rng(0)
    severity = 1e-6 * random.random(40)
    signs = np.stack([severity * 1e9, random.normal(size=40) * (1 + severity * 1e6)], axis=1)
    usual = _usual(signs, severity, np.full(40, 1 / 40))
    assert np.abs(usual[1:]).max() == STEEPEST
    assert np.isfinite(usual).all()
