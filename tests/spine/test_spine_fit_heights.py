"""Heights of intact vertebrae come from the training split alone, whatever was published and whatever is broken."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.landmarks import THORACOLUMBAR, landmarks, normal_heights
from vertegrade.files import write_json
from vertegrade.graders.keypoints.latents import keypoint_latents
from vertegrade.grading.hyperplane import fit_hyperplane
from vertegrade.grading.rows import GradingError
from vertegrade.levels import LABEL_OF, NAMES
from vertegrade.model_files import ModelFileError
from vertegrade.settings.grading import GradingSettings
from vertegrade.spine.fit_intact_heights import MIN_PATIENTS, NEIGHBOURS_WORTH, fit_intact_heights
from vertegrade.spine.indices import measure
from vertegrade.spine.intact_heights import PUBLISHED, TRAINING, content_of, published, read_intact_heights

T8, L1, L5 = (LABEL_OF[name] for name in ("T8", "L1", "L5"))
WRONG = np.array([1.06, 0.94, 1.04])  # of the heights of these people, over the published ones
Tables = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]


def people(count: int = 40, broken: float = 0.3, size: float = 1.0) -> Tables:
    """LANDMARKS, LABELS and splits: 6 in 10 are training; every second sees only T5-L1 or T8-L5.

    broken: share of the vertebrae of L1, and half of it of all others, that lost 20 to 50 % of their anterior and
    middle height. size: of all heights.
    """
    table, labels, splits = drawn(count, broken, size)
    return table.copy(), labels.copy(), splits.copy()


@cache
def drawn(count: int, broken: float, size: float) -> Tables:
    rng = np.random.default_rng(3)
    tables, labels = [], []
    for number in range(count):
        levels = THORACOLUMBAR[:-4] if number % 2 else THORACOLUMBAR[3:]
        person = np.exp(rng.normal(0, 0.07)) * np.exp(rng.normal(0, 0.03, (len(levels), 3)))
        lost = rng.uniform(size=len(levels)) < np.where(np.array(levels) == L1, broken, broken / 2)
        loss = np.where(lost, rng.uniform(0.2, 0.5, len(levels)), 0.0)[:, None] * [1.0, 0.8, 0.1]
        heights = np.array([normal_heights(label) for label in levels]) * size * WRONG * person * (1 - loss)
        tables.append(landmarks(dict(zip(levels, heights, strict=True)), f"s{number:03d}", f"p{number:03d}", 0.1))
        row = tables[-1][["patient_id", "scan_id", "vertebra"]].copy()
        grade = np.where(lost, 2.0, 0.0)
        labels.append(row.assign(genant_grade=grade, shape="", height_loss=np.nan, usable=True, reason=""))
    names = [f"p{number:03d}" for number in range(count)]
    split = [("train", "train", "train", "validation", "test")[number % 5] for number in range(count)]
    splits = pd.DataFrame({"patient_id": names, "split": split, "origin": "given"})
    return pd.concat(tables, ignore_index=True), pd.concat(labels, ignore_index=True), splits


def off(content: dict, label: int) -> np.ndarray:
    """How far the heights of a level are from the published ones, as logarithms (3,)."""
    return np.log(np.array(content["levels"][NAMES[label]]["heights_mm"]) / normal_heights(label))


@pytest.mark.parametrize("labelled", [True, False])
def test_the_heights_of_training_are_found_whatever_was_published(labelled: bool) -> None:
    """Although a third of L1 is fractured, and nobody says so."""
    table, labels, splits = people(60)
    content = fit_intact_heights(table, splits, labels if labelled else None)
    assert content["source"] == TRAINING
    for label in THORACOLUMBAR:
        np.testing.assert_allclose(off(content, label), np.log(WRONG), atol=0.06)
    every = np.array([off(content, label) for label in THORACOLUMBAR])
    np.testing.assert_allclose(every.mean(axis=0), np.log(WRONG), atol=0.03)
    assert content["person_sd"]["size"] == pytest.approx(0.07, abs=0.025)
    assert content["vertebra_sd"]["size"] == pytest.approx(0.03, abs=0.015)
    assert content["vertebra_sd"]["anterior_ratio"] == pytest.approx(0.03 * 2**0.5, abs=0.015)
    assert content["patients"] == splits["split"].eq("train").sum()


def test_shifted_training_heights_shift_them_by_as_much() -> None:
    before, after = (fit_intact_heights(t, s, y) for t, y, s in (people(), people(size=1.1)))
    for label in range(LABEL_OF["C7"], L5 + 1):
        np.testing.assert_allclose(off(after, label) - off(before, label), np.log(1.1), atol=1e-3)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_nobody_of_another_split_can_change_them(split: str) -> None:
    table, labels, splits = people()
    others = table["patient_id"].isin(splits.loc[splits["split"] == split, "patient_id"])
    changed = table.copy()
    ends = [name for name in table if name.endswith("_superior_z_mm")]
    changed.loc[others, ends] += 5.0
    before = fit_intact_heights(table, splits, labels)
    assert json.dumps(fit_intact_heights(changed, splits, labels)) == json.dumps(before)
    wrong = labels.assign(genant_grade=labels["genant_grade"].where(~others, 3 - labels["genant_grade"]))
    assert json.dumps(fit_intact_heights(table, splits, wrong)) == json.dumps(before)
    assert json.dumps(fit_intact_heights(table[~others], splits, labels)) == json.dumps(before)
    moved = splits.assign(split=splits["split"].replace(split, "train"))
    assert json.dumps(fit_intact_heights(changed, moved, labels)) != json.dumps(before)


def test_a_label_says_what_is_intact() -> None:
    """Vertebrae that lost 12 % would count as sound; labelled as fractured they do not, and labelled intact they do."""
    table, labels, splits = people(broken=0.0)
    low = (table["vertebra"] == T8) & (table["patient_id"].str[1:].astype(int) % 3 > 0)
    ends = [name for name in table if name.endswith("_superior_z_mm")]
    table.loc[low, ends] -= 0.12 * normal_heights(T8)
    fractured = labels.assign(genant_grade=np.where(low, 1.0, 0.0))
    hidden, told = (off(fit_intact_heights(table, splits, y), T8) for y in (None, fractured))
    assert np.abs(told - np.log(WRONG)).max() < 0.04
    assert (told - hidden > 0.04).all()
    unusable = fractured.assign(usable=~low)
    np.testing.assert_allclose(off(fit_intact_heights(table, splits, unusable), T8), hidden, atol=0.02)


def test_a_repeated_scan_counts_once() -> None:
    table, _, splits = people()
    first = table[table["patient_id"] == "p000"].assign(scan_id="again")
    again = [first.assign(scan_id=f"again{n}") for n in range(30)]
    many = pd.concat([table, *again], ignore_index=True)
    once, often = fit_intact_heights(table, splits, None), fit_intact_heights(many, splits, None)
    for label in THORACOLUMBAR:
        np.testing.assert_allclose(off(often, label), off(once, label), atol=1e-9)
    assert once["vertebrae"] == often["vertebrae"]


def test_a_level_of_few_patients_leans_on_its_neighbours_and_an_unseen_one_on_the_nearest() -> None:
    table, _, splits = people(broken=0.0)
    rare = (table["vertebra"] == T8) & (table["patient_id"].str[1:].astype(int) >= 6)
    table = table[~rare & (table["vertebra"] < L5)].reset_index(drop=True)
    t8 = table["vertebra"] == T8
    table.loc[t8, [name for name in table if name.endswith("_superior_z_mm")]] += 0.15 * normal_heights(T8)
    content = fit_intact_heights(table, splits, None)
    count = content["levels"]["T8"]["patients"]
    assert 3 <= count <= 5
    own = np.log(WRONG * 1.15 ** (1 / WRONG))
    share = count / (count + NEIGHBOURS_WORTH)
    np.testing.assert_allclose(off(content, T8), np.log(WRONG) + share * (own - np.log(WRONG)), atol=0.06)
    assert content["levels"]["L5"] == content["levels"]["L5"] | {"patients": 0, "errors": None}
    np.testing.assert_allclose(off(content, L5), off(content, LABEL_OF["L4"]), atol=1e-9)
    errors = {name: np.mean(level["errors"]) for name, level in content["levels"].items() if level["errors"]}
    assert errors["T8"] > 1.1 * errors["T10"] > 0


def test_too_few_patients_are_told_and_published_heights_expected(tmp_path: Path) -> None:
    table, labels, splits = people(40)
    few = splits[splits["split"] == "train"]["patient_id"].iloc[: MIN_PATIENTS - 1]
    content = fit_intact_heights(table[table["patient_id"].isin(few)].reset_index(drop=True), splits, labels)
    assert content["source"] == PUBLISHED
    assert f"as {MIN_PATIENTS - 1} training patients have 3 or more vertebrae" in content["about"]
    write_json(tmp_path / "intact_heights.json", content)
    read = read_intact_heights(tmp_path / "intact_heights.json")
    for label, three in published().heights_mm.items():
        np.testing.assert_array_equal(read.heights_mm[label], three)
    np.testing.assert_array_equal([read.person_sd, read.vertebra_sd], [published().person_sd, published().vertebra_sd])


def test_a_file_of_another_version_is_refused(tmp_path: Path) -> None:
    content = content_of(published(), "as asked")
    del content["person_sd"]
    write_json(tmp_path / "intact_heights.json", content)
    with pytest.raises(ModelFileError, match="no 'person_sd'"):
        read_intact_heights(tmp_path / "intact_heights.json")


def test_intact_people_unlike_the_published_have_no_loss_by_their_own_heights(tmp_path: Path) -> None:
    """By the published ones, by which everybody has a wedge at T8, T8 is fractured in many of them."""
    table, labels, splits = people()
    t8 = table["vertebra"] == T8
    table.loc[t8, "anterior_superior_z_mm"] -= 0.25 * normal_heights(T8)[0]
    write_json(tmp_path / "intact_heights.json", fit_intact_heights(table, splits, labels))
    fitted = read_intact_heights(tmp_path / "intact_heights.json")
    intact = labels[(labels["genant_grade"] == 0) & (labels["vertebra"] == T8)][["scan_id", "vertebra"]]
    by_own, by_published = (measure(table, heights).merge(intact) for heights in (fitted, published()))
    assert (by_own["grade"] > 0).mean() < 0.1
    assert (by_published["grade"] > 0).mean() > 0.5
    assert by_own["wedge"].median() == pytest.approx(0, abs=0.06)


def test_a_hyperplane_refuses_latents_by_other_heights() -> None:
    table, labels, splits = people()
    measured = measure(table, published())
    plane = fit_hyperplane(keypoint_latents(measured, "networks", "a"), labels, splits, GradingSettings(), 1)
    plane.check_latents(keypoint_latents(measured, "networks", "a"))
    with pytest.raises(GradingError, match="stale latents"):
        plane.check_latents(keypoint_latents(measured, "networks", "b"))
