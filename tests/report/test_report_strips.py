"""Counterfactual strips: what is synthetic says so, and what was measured in it stands below it."""

import io
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from helpers.synthetic_crops import make_crops
from helpers.synthetic_predictions import make_cohort
from vertegrade.drawn_tables import COUNTERFACTUALS, LOSSES
from vertegrade.evaluation.counterfactual import wanted_of
from vertegrade.levels import NAMES
from vertegrade.plotting import NOTICE, save_figure
from vertegrade.report.montage import TILE, scan_text
from vertegrade.report.spread import shown_strips, spread_by_severity
from vertegrade.report.strips import (
    animation,
    counterfactual_figure,
    difference_map,
    watermarked,
    within_window,
)
from vertegrade.settings.dae import DaeModelSettings
from vertegrade.settings.report import ReportSettings
from vertegrade.tables import check_table, empty_table

SETTINGS = ReportSettings()
PREDICTIONS = make_cohort(20).dae
TRUE = np.array([0.0, np.nan])


def _texts(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in [*figure.texts, *figure.axes[0].texts])


def _strips(every_shape: bool = False) -> tuple[np.ndarray, pd.DataFrame, pd.DataFrame]:
    """Images, PREDICTIONS and COUNTERFACTUALS of two vertebrae."""
    rows = spread_by_severity(PREDICTIONS, 2).reset_index(drop=True)
    wanted = wanted_of(rows["vertebra"].tolist(), ["", ""], every_shape)
    count = wanted.severities.shape[1]
    pictures = rows.loc[rows.index.repeat(count), ["patient_id", "scan_id", "vertebra"]].reset_index(drop=True)
    pictures = pictures.assign(
        row=np.repeat([0, 1], count),
        picture=np.tile(range(count), 2),
        shape=np.reshape(wanted.shapes, -1).astype(object),
        wanted_grade=np.reshape(wanted.grades, -1),
        **{f"wanted_{name}": wanted.losses[..., n].ravel() for n, name in enumerate(LOSSES)},
        **{name: wanted.losses[..., n].ravel() for n, name in enumerate(LOSSES)},
        height_loss=wanted.losses.max(axis=2).ravel(),
        wanted_severity=wanted.severities.ravel(),
        severity=wanted.severities.ravel(),
        outside_to_inside=0.1,
        reconstruction_error_hu=np.repeat([41.4, 57.0], count),
        return_error_hu=50.0,
        outside_share=0.1,
        nearest_training=0.5,
        returns=True,
        reached=True,
        counted=True,
    )
    images = np.stack([make_crops(np.full(2 + count, severity)) for severity in rows["severity"]])
    return images, rows, check_table(pictures[list(COUNTERFACTUALS.columns)], COUNTERFACTUALS, "test")


def _figure(**changes: object) -> Figure:
    images, rows, pictures = _strips()
    of_rows = {name: value for name, value in changes.items() if name in ("scan_id", "label_confidence", "flags")}
    of_pictures = {name: value for name, value in changes.items() if name not in of_rows}
    return counterfactual_figure(images, rows.assign(**of_rows), pictures.assign(**of_pictures), TRUE, SETTINGS)


@pytest.mark.parametrize("grey", [0, 255])
def test_synthetic_images_carry_the_word_in_their_pixels_on_black_and_on_white(grey):
    marked = watermarked(np.full((64, 64), grey, np.uint8))
    assert marked.shape == (TILE, TILE, 3)
    changed = (marked != grey).any(axis=2)
    assert 0.02 < changed.mean() < 0.2
    columns = np.flatnonzero(changed.any(axis=0))
    assert np.ptp(columns) > 0.6 * TILE  # across most of the width: it cannot be cropped away


def test_words_that_are_longer_are_smaller_and_not_cut_off() -> None:
    pictures = [watermarked(np.zeros((64, 64), np.uint8), f"SYNTHETIC grade {grade}") for grade in (0, 3)]
    assert (pictures[0] != pictures[1]).any()
    for picture in pictures:
        assert (picture[:, [0, 1, 2, -3, -2, -1]] == 0).all()


def test_difference_maps_are_white_where_nothing_changed_and_saturate():
    image = difference_map(np.array([[100, 500, 1000]]), np.array([[100, 100, 100]]), SETTINGS)
    assert image[0, 0].min() > 240
    assert image[0, 1].tolist() == image[0, 2].tolist()
    denser, lighter = (difference_map(np.array([[hu]]), np.array([[0]]), SETTINGS)[0, 0] for hu in (300, -300))
    assert denser[0] > denser[2]  # orange
    assert lighter[2] > lighter[0]  # violet


def test_every_synthetic_image_is_watermarked_and_the_crop_is_not() -> None:
    shown = _figure().axes[0].images
    crops = [image for image in shown if image.get_array().shape == (64, 64)]
    synthetic = [image for image in shown if image.get_array().shape == (TILE, TILE, 3)]
    assert (len(crops), len(synthetic)) == (2, 2 * 10)
    for image in synthetic:
        band = np.asarray(image.get_array())[TILE - 32 :]
        assert (band == 0).all(axis=2).any()
        assert (band == 255).all(axis=2).any()


def test_what_was_measured_stands_below_each_picture() -> None:
    text = _texts(_figure(loss_anterior=0.37, severity=1.7))
    assert text.count("lost 37/") == 8
    assert text.count("graded 1.7, asked 2.8") == 2
    assert "41 HU (RMS in the body)" in text
    assert "True grade unknown" in text
    assert NOTICE in text
    assert "misses" not in text


def test_a_picture_that_misses_its_grade_says_so() -> None:
    images, rows, pictures = _strips()
    pictures.loc[3, "reached"] = False
    text = _texts(counterfactual_figure(images, rows, pictures, TRUE, SETTINGS))
    assert text.count("misses its grade") == 1


def test_all_shapes_are_side_by_side() -> None:
    images, rows, pictures = _strips(every_shape=True)
    text = _texts(counterfactual_figure(images, rows, pictures, TRUE, SETTINGS))
    for shape in ("wedge", "biconcave", "crush"):
        assert text.count(f"Grade 3, {shape}") == 2


def test_scans_doubts_and_uncertain_levels_stand_beside_the_strip() -> None:
    scan = "ABCDEFGHIJ-" * 12
    figure = _figure(scan_id=scan, label_confidence=0.3, flags=["doubtful_points methods_disagree", ""])
    beside = [text for text in figure.axes[0].texts if text.get_text() == f"Scan\n{scan_text(scan)}"]
    figure.canvas.draw()
    right = figure.axes[0].transData.transform((1.02, 0))[0]
    assert len(beside) == 2
    assert all(text.get_window_extent().x1 <= right for text in beside)
    words = " ".join(_texts(figure).split())
    assert words.count("about ") == 2
    assert words.count("doubtful points") == words.count("methods disagree") == 1
    assert f"about {NAMES[_strips()[1].loc[0, 'vertebra']]}" in words


def test_texts_below_neighbouring_pictures_do_not_touch() -> None:
    figure = _figure(loss_anterior=0.55, loss_middle=0.55, loss_posterior=0.55)
    figure.canvas.draw()
    below = [text.get_window_extent() for text in figure.axes[0].texts if text.get_text().startswith("lost ")][:4]
    assert all(left.x1 < right.x0 for left, right in pairwise(below))


def test_no_graded_vertebra_gives_a_picture_that_says_so(tmp_path) -> None:
    rows = spread_by_severity(PREDICTIONS.assign(evaluable=False), 5)
    images = np.zeros((0, 6, 1, 64, 64))
    figure = counterfactual_figure(images, rows, empty_table(COUNTERFACTUALS), np.zeros(0), SETTINGS)
    assert "No graded vertebra" in _texts(figure)
    save_figure(figure, tmp_path / "empty.png")


def test_the_window_is_cut_to_what_the_model_sees() -> None:
    cut = within_window(SETTINGS, DaeModelSettings())
    assert (cut.window_centre_hu, cut.window_width_hu) == (200, 400)
    wide = within_window(SETTINGS, DaeModelSettings(hu_low=-1000, hu_high=1000))
    assert (wide.window_centre_hu, wide.window_width_hu) == (325, 1350)
    apart = within_window(SETTINGS, DaeModelSettings(hu_low=2000, hu_high=3000))
    assert apart == SETTINGS


def test_an_animation_goes_there_and_back_and_every_frame_is_marked() -> None:
    images = make_crops(np.array([0.0, 1.0, 2.0, 3.0]))
    film = animation(images, [f"grade {grade}" for grade in range(4)], SETTINGS)
    assert film == animation(images, [f"grade {grade}" for grade in range(4)], SETTINGS)
    with Image.open(io.BytesIO(film)) as file:
        assert (file.n_frames, file.info["loop"]) == (6, 0)
        for frame in range(6):
            file.seek(frame)
            band = np.asarray(file.convert("RGB"))[TILE - 32 :]
            assert (band == 255).all(axis=2).any()


def test_the_picture_shows_no_vertebra_that_was_chosen_for_being_suspicious() -> None:
    _, rows, pictures = _strips()
    beside = pictures["row"] == 1
    shown = shown_strips(PREDICTIONS, pictures.assign(counted=~beside), 6)
    assert shown["row"].tolist() == [0]
    assert shown["scan_id"].tolist() == [rows["scan_id"][0]]
