"""Where the severity comes from: picture and words."""

import copy
from typing import Any

import numpy as np
import pandas as pd
import pytest

from vertegrade.drawn_tables import AREAS, COUNTERFACTUALS, GRADE_HEIGHTS
from vertegrade.report.looks_at import looks_at_figure, mean_change, over
from vertegrade.report.looks_at_text import looks_at_texts
from vertegrade.settings.report import ReportSettings
from vertegrade.tables import HEIGHTS, empty_table

SETTINGS = ReportSettings()
SIDE = 16


def cell(value: float | None) -> dict[str, Any]:
    return {"value": value, "low": None, "high": None, "n": 5, "skipped": 0}


def figures(grades: dict[str, float] | None) -> dict[str, Any]:
    """Every area has a tenth of the crop but elsewhere; the endplates have three tenths of the map."""
    size = {area: cell(0.1) for area in AREAS} | {"elsewhere": cell(0.5)}
    share = {area: cell(0.1) for area in AREAS} | {"endplates": cell(0.3), "elsewhere": cell(0.3)}
    found = {area: cell(value) for area, value in grades.items()} if grades else None
    sway = {area: cell(0.25) for area in AREAS} if grades else None
    score = cell(sum(grades.values()) if grades else 1.0)
    return {"vertebrae": 5, "score": score, "area": size, "share": share, "grades": found, "sway": sway}


OWN = {"endplates": 0.9, "body": 0.4, "lost": 0.2, "discs": 0.1, "neighbours": -0.1, "elsewhere": 0.1}


def metrics(grades: dict[str, float] | None = OWN, shuffled: float = 0.03) -> dict[str, Any]:
    maps = {
        name: {"agreement": agreed, "grades": {"1-3": figures(of)}}
        for name, agreed, of in (("gradient", 0.93, grades), ("occlusion", 0.88, None), ("pca", None, grades))
    }
    checks = {"rank_correlation": 0.81, "shuffled_gradient": shuffled, "shuffled_occlusion": 0.1}
    return {"vertebrae": 5, "shown": "gradient", "maps": maps, "checks": checks}


def heights() -> pd.DataFrame:
    rows = [
        {"source": "crops", "part": part, "shape": "wedge", "step": step, "column": column, "change": change,
         "low": low, "high": -0.1, "vertebrae": 7, "patients": 5}
        for part, change, low in (("all", -0.2, -0.3), ("lumbar", np.nan, np.nan))
        for step in ("0-1", "0-3")
        for column in HEIGHTS
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_the_words_follow_from_the_figures() -> None:
    texts = looks_at_texts(metrics(), heights())
    assert texts is not None
    assert "The 5 vertebrae graded 1 to 3 are read as 1.6 grades more severe" in texts["finding"]
    assert "+0.90 from its endplates" in texts["finding"]
    assert "−0.10 from neighbouring vertebrae" in texts["finding"]
    assert "So 94 % comes from the vertebra itself" in texts["finding"]
    assert "strongest at its endplates (3.0 times an even map)" in texts["finding"]
    assert "single vertebra by 0.25 grades" in texts["finding"]
    assert texts["warning"] == ""
    assert "0.93, that by occlusion with 0.88" in texts["trust"]
    assert texts["areas"][0] == {"name": "Endplates", "cells": ["10 %", "30 %", "0.90", "30 %", "30 %", "0.90"]}
    assert [row["name"] for row in texts["heights"]] == ["Wedge, all levels"]  # too few lumbar ones
    assert texts["heights"][0]["cells"] == ["−20.0 (−30.0 to −10.0)"] * 3


@pytest.mark.parametrize("neighbours", [1.5, -1.5])
def test_a_model_that_looks_at_neighbours_is_named(neighbours: float) -> None:
    texts = looks_at_texts(metrics(OWN | {"neighbours": neighbours}), heights())
    assert texts is not None
    assert "does not come from the vertebra itself" in texts["warning"]
    assert "do not read it" not in texts["warning"]


def test_a_map_that_does_not_depend_on_what_was_learned_is_named() -> None:
    texts = looks_at_texts(metrics(shuffled=0.7), heights())
    assert texts is not None
    assert texts["warning"] == "The map hardly depends on what the encoder has learned: do not read it."


def test_too_few_fractures_and_no_map_at_all() -> None:
    few = copy.deepcopy(metrics())
    few["maps"]["gradient"]["grades"]["1-3"]["score"] = cell(None)
    texts = looks_at_texts(few, heights())
    assert texts is not None
    assert texts["finding"] == "Too few vertebrae are graded as fractured to say more."
    assert looks_at_texts({"vertebrae": 0}, empty_table(GRADE_HEIGHTS)) is None


def test_maps_are_red_above_and_blue_below_and_clear_at_zero() -> None:
    grey = np.full((1, 3), 100, np.uint8)
    picture = over(grey, np.array([[1.0, 0.0, -1.0]]), 1.0).astype(int)[0]
    assert picture[0, 0] > picture[0, 2] + 50
    np.testing.assert_array_equal(picture[1], 100)
    assert picture[2, 2] > picture[2, 0] + 50


def strips() -> tuple[np.ndarray, pd.DataFrame]:
    """Two vertebrae whose pictures at grade 2 are 40 and 80 HU denser, for 1 and 2 grades."""
    images = np.zeros((2, 4, 1, SIDE, SIDE), np.int16)
    images[0, 3], images[1, 3] = 40, 80
    rows = [
        (row, picture, grade, severity)
        for row in (0, 1)
        for picture, grade, severity in ((0, 0, 0.5), (1, 2, 1.5 + row))
    ]
    return images, pd.DataFrame(rows, columns=["row", "picture", "wanted_grade", "severity"]).assign(counted=True)


def test_what_is_drawn_is_shown_for_one_grade() -> None:
    change = mean_change(*strips(), 2)
    assert change is not None
    np.testing.assert_allclose(change, 120 / 3)
    assert mean_change(*strips(), 3) is None
    images, pictures = strips()
    one = mean_change(images, pictures.assign(counted=pictures["row"] == 0), 2)
    np.testing.assert_allclose(one, 40)


def words(figure: Any) -> str:
    return "\n".join(text.get_text() for axes in figure.axes for text in axes.texts)


def test_each_grade_that_occurs_has_a_row() -> None:
    random = np.random.default_rng(0)
    areas = np.zeros((6, SIDE, SIDE), np.int8)
    areas[:, 4:10, 4:12] = AREAS.index("body")
    crops, maps = random.normal(200, 50, (6, SIDE, SIDE)), random.normal(size=(6, 3, SIDE, SIDE))
    text = words(looks_at_figure(crops, maps, areas, np.array([0, 0, 2, 2, 2, 3]), strips(), SETTINGS))
    assert [f"Grade {grade}" in text for grade in range(4)] == [True, False, True, True]
    assert "3 vertebrae" in text


def test_no_vertebra_says_so() -> None:
    none = np.zeros((0, 1, SIDE, SIDE), np.int16), empty_table(COUNTERFACTUALS)
    crops = np.zeros((0, SIDE, SIDE))
    figure = looks_at_figure(
        crops, np.zeros((0, 3, SIDE, SIDE)), crops.astype(np.int8), np.zeros(0, int), none, SETTINGS
    )
    assert "No graded vertebra" in words(figure)
