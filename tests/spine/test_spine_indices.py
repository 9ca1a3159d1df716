"""Losses and indices against what intact neighbours predict: right for each shape, blind to level, size and label."""

import shutil
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from helpers.landmarks import THORACOLUMBAR, landmarks, measure, normal_heights
from vertegrade.graders.keypoints import definition
from vertegrade.graders.keypoints import latents as of_keypoints
from vertegrade.grading.calibration import calibrate
from vertegrade.grading.hyperplane import fit_hyperplane
from vertegrade.grading.prediction import predict
from vertegrade.grading.rows import GradingError
from vertegrade.levels import LABEL_OF
from vertegrade.settings.grading import GradingSettings
from vertegrade.spine import indices
from vertegrade.spine.doubt import with_flags
from vertegrade.spine.intact_heights import published
from vertegrade.spine.level_statistics import PERSON_RATIO, PERSON_SIZE, VERTEBRA_HEIGHT, VERTEBRA_RATIO
from vertegrade.spine.normal_ratios import intact_log_heights, normal_log_heights
from vertegrade.tables import HEIGHTS, NOT_GRADED, POINT_COLUMNS, POINT_SD_COLUMNS
from vertegrade.workflow import code_hash

T5, T8, T11, T12, L1, L5 = (LABEL_OF[name] for name in ("T5", "T8", "T11", "T12", "L1", "L5"))


def keypoint_latents(table: pd.DataFrame, points_from: str) -> pd.DataFrame:
    """LATENTS of MEASUREMENTS by heights of no file."""
    return of_keypoints.keypoint_latents(table, points_from, "")


def spine(levels: list[int] = THORACOLUMBAR, size: float = 1.0, **losses: tuple[float, float, float]) -> pd.DataFrame:
    """MEASUREMENTS by vertebra of a mean spine; losses by level name, as fractions of the three heights."""
    lost = {LABEL_OF[name]: np.array(loss) for name, loss in losses.items()}
    heights = {label: size * normal_heights(label) * (1 - lost.get(label, 0.0)) for label in levels}
    return measure(landmarks(heights)).set_index("vertebra")


@pytest.mark.parametrize("size", [0.9, 1.0, 1.1])
def test_intact_spine_of_any_size_has_no_loss_at_any_level(size: float):
    """Although 1 - min/max of its vertebrae is about 0.15, and its L5 is higher in front."""
    found = spine(size=size)
    heights = found[[f"height_{name}_mm" for name in HEIGHTS]].to_numpy()
    assert (1 - heights.min(axis=1) / heights.max(axis=1)).mean() > 0.13
    assert found["height_loss"].abs().max() < 0.03
    assert set(found["grade"]) == {0}
    assert set(found["shape"]) == {""}


@pytest.mark.parametrize(
    ("loss", "shape", "index"),
    [
        ((0.3, 0.15, 0.02), "wedge", "wedge"),
        ((0.1, 0.3, 0.05), "biconcave", "biconcave"),
        ((0.3,) * 3, "crush", "crush"),
    ],
)
def test_each_shape_is_measured_and_named(loss: tuple[float, float, float], shape: str, index: str):
    found = spine(L1=loss).loc[L1]
    assert found["shape"] == shape
    assert found["grade"] == 2
    assert found["height_loss"] == pytest.approx(0.3, abs=0.03)
    assert found[index] > 0.2
    np.testing.assert_allclose(found[[f"loss_{name}" for name in HEIGHTS]].astype(float), loss, atol=0.03)


def test_crush_is_invisible_to_the_ratios_of_the_vertebra():
    found = spine(L1=(0.3, 0.3, 0.3)).loc[L1]
    assert abs(found["wedge"]) < 0.02
    assert abs(found["biconcave"]) < 0.02
    assert found["crush"] == pytest.approx(0.3, abs=0.03)


def test_fractured_neighbours_are_no_reference():
    """Half of the scan is reduced; what is intact between the fractures stays intact, and the losses stay right."""
    loss = (0.35, 0.35, 0.3)
    found = spine(T8=loss, T10=loss, T12=loss, L1=loss, L2=loss, L3=(0.3, 0.1, 0.0))
    reduced = [LABEL_OF[name] for name in ("T8", "T10", "T12", "L1", "L2")]
    np.testing.assert_allclose(found.loc[reduced, "height_loss"], 0.35, atol=0.06)
    assert found.drop(index=[*reduced, LABEL_OF["L3"]])["height_loss"].max() < 0.06


def test_one_fracture_hardly_changes_the_others():
    change = spine(L1=(0.4, 0.3, 0.1))["height_loss"] - spine()["height_loss"]
    assert change.drop(index=L1).abs().max() < 0.015


@pytest.mark.parametrize("shift", [-1, 1])
def test_labels_off_by_one_change_little(shift: int):
    """Thoracic to L3: what lies below is worse by nature, since L5 is a wedge the other way round."""
    levels = [*range(T5, LABEL_OF["L3"] + 1)]
    heights = {label: normal_heights(label) * (1 - 0.3 * (label == T11)) for label in levels}
    right = measure(landmarks(heights))
    moved = measure(landmarks({label + shift: columns for label, columns in heights.items()}))
    assert np.abs(moved["height_loss"] - right["height_loss"]).max() < 0.07
    assert moved["grade"].tolist() == right["grade"].tolist()


def test_doubtful_label_averages_its_neighbours():
    sure, _ = normal_log_heights(np.array([T8, T12]), np.ones(2), published())
    doubtful, doubt = normal_log_heights(np.array([T8, T12]), np.array([0.4, 0.4]), published())
    near = [[np.log(normal_heights(label + step)) for step in (-1, 0)] for label in (T8, T12)]
    below = np.log(np.stack([normal_heights(T8 + 1), (normal_heights(T12) * normal_heights(L1)) ** 0.5]))
    np.testing.assert_allclose(doubtful, 0.3 * np.array(near)[:, 0] + 0.4 * sure + 0.3 * below)
    assert (doubt > 0).all()


def test_no_normal_heights_of_the_sacrum():
    with pytest.raises(ValueError, match="vertebra 26"):
        normal_log_heights(np.array([26]), np.ones(1), published())


def test_wedge_alone_in_its_scan_is_found():
    """Nothing but level statistics and its own posterior height to compare with."""
    found = spine([T8], T8=(0.35, 0.2, 0.0)).loc[T8]
    assert found["wedge"] == pytest.approx(0.35, abs=0.02)
    assert found["grade"] == 2


def test_wider_point_errors_make_wider_error_bars():
    heights = {label: normal_heights(label) for label in THORACOLUMBAR}
    narrow, wide = (measure(landmarks(heights, point_sd=sd)) for sd in (0.3, 1.5))
    assert (wide["height_loss_sd"] > 1.3 * narrow["height_loss_sd"]).all()
    assert (wide["severity_sd"] > narrow["severity_sd"]).all()
    np.testing.assert_allclose(narrow["height_middle_sd_mm"], 0.3 * 2**0.5)


def test_latents_carry_what_a_deviation_of_each_height_changes_them_by():  # field test A11
    """An error of 2 mm of the middle height puts the biconcave index in doubt, and not the wedge."""
    table = landmarks({label: normal_heights(label) * (1 - 0.3 * (label == T11)) for label in THORACOLUMBAR})
    table[["middle_superior_sd_mm", "middle_inferior_sd_mm"]] = 2.0**0.5
    measured = measure(table)
    errors = np.stack(keypoint_latents(measured, "networks")["z_errors"]).reshape(-1, 3, len(indices.INDICES))
    middle = errors[:, HEIGHTS.index("middle")]
    rims, intact_rims = (
        measured[[name.format(column) for column in ("anterior", "posterior")]].max(axis=1)
        for name in ("height_{}_mm", "intact_height_{}_mm")
    )
    np.testing.assert_allclose(np.abs(middle[:, 0]), 0, atol=1e-6)
    expected = 2 / measured["intact_height_middle_mm"] * intact_rims / rims
    np.testing.assert_allclose(np.abs(middle[:, 1]), expected, rtol=1e-5)
    unknown = keypoint_latents(measure(table.drop(columns=POINT_SD_COLUMNS)), "masks")
    assert np.isnan(np.stack(unknown["z_errors"])).all()


def test_label_confidence_and_flags_reach_the_latents():  # field test A11
    table = landmarks({label: normal_heights(label) for label in (T8, T11)}, label_confidence=0.3, flags="contrast")
    for found in (measure(table), keypoint_latents(measure(table), "networks")):
        assert found["label_confidence"].tolist() == [0.3, 0.3]
        assert found["flags"].tolist() == ["contrast", "contrast"]


def test_unknown_point_errors_are_an_experts():
    table = landmarks({label: normal_heights(label) for label in THORACOLUMBAR})
    known = measure(table.assign(**dict.fromkeys(POINT_SD_COLUMNS, indices.EXPERT_SD_MM / 2**0.5)))
    unknown = measure(table.drop(columns=[*POINT_SD_COLUMNS, "label_confidence"]))
    assert unknown["height_anterior_sd_mm"].isna().all()
    np.testing.assert_allclose(unknown["height_loss_sd"], known["height_loss_sd"])


def test_error_bar_of_the_reference_covers_healthy_people():
    """People drawn as the level statistics say: the intact heights' errors are as wide as told, or less."""
    rng = np.random.default_rng(3)
    scaled = []
    for _ in range(30):
        labels = np.arange(T8, T8 + 9)
        person = rng.normal(0, PERSON_SIZE) + np.array([*rng.normal(0, PERSON_RATIO, 2), 0.0])
        own = rng.normal(0, VERTEBRA_HEIGHT, (9, 1)) + rng.normal(0, VERTEBRA_RATIO, (9, 3)) * [1, 1, 0]
        heights = np.array([normal_heights(label) for label in labels]) * np.exp(person + own)
        log_intact, sd = intact_log_heights(heights, np.full((9, 3), 0.1), labels, np.ones(9), published())
        scaled.append((np.log(heights) - log_intact) / sd)
    assert 0.4 < np.std(scaled) < 1.0


def test_vertebrae_without_a_measure_say_why():
    table = landmarks({label: normal_heights(label) for label in range(T8, T8 + 6)})
    table.loc[1, POINT_COLUMNS] = np.nan
    table.loc[2, [name for name in POINT_COLUMNS if name.startswith("middle")]] = 0.0
    table.loc[3, ["evaluable", "reason"]] = [False, "cut"]
    found = measure(table).set_index("vertebra")
    assert found["reason"].tolist() == ["", "no_points", "no_height", "cut", "", ""]
    assert found["evaluable"].tolist() == [True, False, False, False, True, True]
    assert found.loc[~found["evaluable"], "height_loss"].isna().all()
    assert set(found.loc[~found["evaluable"], "grade"]) == {-1}


def test_scan_without_any_points_is_kept():
    table = landmarks({T8: normal_heights(T8)})
    table[POINT_COLUMNS] = np.nan
    found = measure(table)
    assert found["reason"].tolist() == ["no_points"]
    assert len(measure(table.iloc[:0])) == 0


def test_vertebrae_outside_the_graded_levels_are_neighbours_without_a_row():
    heights = {label: 1.1 * normal_heights(label) for label in range(T8, T8 + 6)}
    table = landmarks(heights)
    outside = table["vertebra"] > T8
    table.loc[outside, ["evaluable", "reason"]] = [False, NOT_GRADED]
    found = measure(table)
    assert found["vertebra"].tolist() == [T8]
    alone = measure(landmarks({T8: heights[T8]}))
    assert found["intact_height_posterior_mm"][0] > alone["intact_height_posterior_mm"][0]


def test_rows_run_by_scan_and_from_head_to_feet_with_t13_in_its_place():
    heights = {20: normal_heights(20), 28: normal_heights(19), 19: normal_heights(19)}
    table = pd.concat([landmarks(heights, "s2", "p2"), landmarks(heights, "s1")], ignore_index=True)
    latents = keypoint_latents(measure(table), "networks")
    assert latents["scan_id"].tolist() == ["s1"] * 3 + ["s2"] * 3
    assert latents["vertebra"].tolist() == [19, 28, 20] * 2
    assert latents["crop"].tolist() == [*range(6)]


def test_scans_do_not_see_each_other():
    first = landmarks({label: normal_heights(label) for label in THORACOLUMBAR})
    second = landmarks({label: 0.8 * normal_heights(label) for label in THORACOLUMBAR}, "s2", "p2")
    together = measure(pd.concat([first, second], ignore_index=True))
    pd.testing.assert_frame_equal(together[together["scan_id"] == "s1"], measure(first))


def test_latents_name_the_definition_and_hold_numbers_for_every_row():
    table = landmarks({label: normal_heights(label) for label in THORACOLUMBAR})
    table.loc[0, POINT_COLUMNS] = np.nan
    latents = keypoint_latents(measure(table), "networks")
    assert set(latents["model_sha256"]) == {definition.definition_sha256("networks", "")}
    assert np.isfinite(np.stack(latents["z"])).all()
    assert np.stack(latents["z"]).shape == (len(THORACOLUMBAR), len(indices.INDICES))


def test_comments_in_its_code_change_no_definition_and_edits_do(  # field test A12
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts = tmp_path / "workflow_scripts"
    shutil.copytree(code_hash.SCRIPTS, scripts, ignore=shutil.ignore_patterns("__pycache__"))

    def defined() -> str:
        code_hash._parse.cache_clear()
        return definition.definition_sha256("masks", "")

    before = defined()
    monkeypatch.setattr(code_hash, "SCRIPTS", scripts)
    assert defined() == before
    for name in definition.DEFINITION:
        text = (scripts / name).read_text(encoding="utf-8")
        (scripts / name).write_text(f"{text}# a comment\n", encoding="utf-8")
    assert defined() == before
    for name in [*definition.DEFINITION, "vertegrade/spine/level_statistics.csv"]:
        text = (scripts / name).read_text(encoding="utf-8")
        (scripts / name).write_text(f"{text}\nMORE = 1\n", encoding="utf-8")
        assert defined() != before, name
        (scripts / name).write_text(text, encoding="utf-8")
    code_hash._parse.cache_clear()


def test_the_definition_is_all_code_of_the_indices() -> None:
    spine = {name for name in code_hash.code_digests("measure") if name.startswith("vertegrade/spine/")}
    assert spine <= set(definition.DEFINITION)


def test_how_levels_are_written_for_people_is_no_part_of_the_definition() -> None:
    assert "vertegrade/levels.py" in definition.DEFINITION
    names = {name for file in definition.DEFINITION for name in vars(import_module(file[:-3].replace("/", ".")))}
    assert not names & {"level_text", "parse_level", "is_uncertain"}


def cohort(patients: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """LANDMARKS, LABELS and splits of people drawn as the level statistics say, one in two with two fractures."""
    rng = np.random.default_rng(seed)
    tables, labels = [], []
    levels = np.arange(T8, L5 + 1)
    for number in range(patients):
        person = rng.normal(0, PERSON_SIZE) + np.array([*rng.normal(0, PERSON_RATIO, 2), 0.0])
        own = rng.normal(0, VERTEBRA_HEIGHT, (len(levels), 1)) + rng.normal(0, VERTEBRA_RATIO, (len(levels), 3))
        loss = np.zeros(len(levels))
        if number % 2:
            loss[rng.choice(len(levels), 2, replace=False)] = rng.uniform(0.2, 0.55, 2)
        shape = np.array([(1.0, 0.5, 0.1), (0.4, 1.0, 0.2), (1.0, 1.0, 0.9)])[rng.integers(0, 3, len(levels))]
        healthy = np.array([normal_heights(label) for label in levels]) * np.exp(person + own)
        heights = healthy * (1 - loss[:, None] * shape) + rng.normal(0, 0.6, healthy.shape)
        name = f"{number:03d}"
        tables.append(landmarks(dict(zip(levels.tolist(), heights, strict=True)), f"s{name}", f"p{name}"))
        row = tables[-1][["patient_id", "scan_id", "vertebra"]].copy()
        row["genant_grade"] = np.digitize(loss, [0.2, 0.25, 0.4]).astype(float)
        labels.append(row.assign(shape="", height_loss=loss, usable=True, reason=""))
    names = [f"p{number:03d}" for number in range(patients)]
    split = ["train"] * (patients // 2) + ["validation"] * (patients // 4)
    splits = pd.DataFrame({"patient_id": names, "split": split + ["test"] * (patients - len(split)), "origin": "given"})
    return pd.concat(tables, ignore_index=True), pd.concat(labels, ignore_index=True), splits


def test_same_hyperplane_as_for_other_latents_tells_fractures():
    table, labels, splits = cohort(24, seed=5)
    latents = keypoint_latents(measure(table), "networks")
    plane = fit_hyperplane(latents, labels, splits, GradingSettings(), 1)
    test = latents.merge(labels, on=["scan_id", "vertebra"])
    test = test[test["scan_id"].str[1:].isin(splits.loc[splits["split"] == "test", "patient_id"].str[1:])]
    distance = plane.signed_distance(np.stack(test["z"]).astype(np.float64))
    assert roc_auc_score(test["genant_grade"] > 0, distance) > 0.97


def test_a_model_of_points_from_masks_refuses_points_from_networks():
    table, labels, splits = cohort(12, seed=5)
    measured = measure(table)
    plane = fit_hyperplane(keypoint_latents(measured, "masks"), labels, splits, GradingSettings(), 1)
    plane.check_latents(keypoint_latents(measured, "masks"))
    with pytest.raises(GradingError, match="with points from the same source"):
        plane.check_latents(keypoint_latents(measured, "networks"))


def test_a_height_that_was_hardly_measured_makes_no_certain_fracture():  # field test A11
    """One anterior point far off, which the network knew (+- 1.5 mm): before, grade 2 with p = 1.00 all the same."""
    table, labels, splits = cohort(60, seed=5)
    latents = keypoint_latents(measure(table), "networks")
    plane = fit_hyperplane(latents, labels, splits, GradingSettings(), 1)
    calibration = calibrate(latents, labels, splits, plane, GradingSettings(), 1)
    split = pd.DataFrame({"patient_id": ["p1"], "split": ["test"], "origin": ["given"]})

    def graded(lost_mm: float) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
        """Predictions where T8 lost so much in front, not knowing and knowing of the error, and the latter's points."""
        levels = range(T5, L1 + 1)
        one = landmarks({label: normal_heights(label) - np.array([lost_mm, 0, 0]) * (label == T8) for label in levels})
        knowing = one.copy()
        knowing.loc[knowing["vertebra"] == T8, "anterior_superior_sd_mm"] = 1.5
        tables = [keypoint_latents(measure(points), "networks") for points in (one, knowing)]
        before, after = (predict(rows, plane, calibration, split, "keypoints").set_index("vertebra") for rows in tables)
        return before, after, knowing

    before, after, knowing = graded(6.5)
    assert before.loc[T8, "p_fracture"] > 0.98
    assert before.loc[T8, "p_fracture"] - after.loc[T8, "p_fracture"] > 0.02
    assert with_flags(knowing).set_index("vertebra").loc[T8, "flags"] == "doubtful_points"
    pd.testing.assert_frame_equal(before.drop(index=T8), after.drop(index=T8), atol=0.02)
    for lost_mm in (2.0, 11.0):  # between them the interval spans two grades and more even where it is well measured
        width = [row.loc[T8, "severity_high"] - row.loc[T8, "severity_low"] for row in graded(lost_mm)[:2]]
        assert width[1] > 1.3 * width[0]
