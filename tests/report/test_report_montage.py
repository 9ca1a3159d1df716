"""Pictures: the order of the montage, the window, the watermark and the differences."""

import itertools

import numpy as np
import pandas as pd
import pytest

from helpers.synthetic_crops import make_crops
from helpers.synthetic_predictions import make_cohort
from vertegrade.grading.grades import grade_table
from vertegrade.levels import NAMES
from vertegrade.plotting import NOTICE, grey_values, save_figure
from vertegrade.report.montage import (
    TILE,
    counterfactual_figure,
    difference_map,
    mid_sagittal,
    montage_figure,
    scan_text,
    true_grades,
    watermarked,
    with_doubts,
)
from vertegrade.report.spread import spread_by_severity
from vertegrade.settings.report import ReportSettings

SETTINGS = ReportSettings()
COHORT = make_cohort(20)
PREDICTIONS = COHORT.dae


def _texts(figure) -> str:
    return "\n".join(text.get_text() for text in [*figure.texts, *figure.axes[0].texts])


def test_the_chosen_vertebrae_rise_in_severity_and_span_its_range():
    rows = spread_by_severity(PREDICTIONS, 10)
    test = PREDICTIONS[PREDICTIONS["evaluable"] & (PREDICTIONS["split"] == "test")]
    assert len(rows) == 10
    assert rows["severity"].is_monotonic_increasing
    assert rows["severity"].iloc[[0, -1]].tolist() == [test["severity"].min(), test["severity"].max()]
    assert (rows["severity"] > 1).sum() >= 4  # by rank, healthy ones would fill nearly all places


def test_no_vertebra_is_chosen_twice_when_there_are_fewer_than_wanted():
    few = PREDICTIONS[PREDICTIONS["split"] == "test"].head(5)
    rows = spread_by_severity(few, 48)
    assert len(rows) == few["evaluable"].sum()
    assert not rows.duplicated(["scan_id", "vertebra"]).any()


def test_only_evaluable_vertebrae_of_the_split_are_shown():
    rows = spread_by_severity(PREDICTIONS, 400)
    assert rows["evaluable"].all()
    assert set(rows["split"]) == {"test"}


def test_true_grades_follow_the_rows_and_are_unknown_without_a_usable_label():
    rows = spread_by_severity(PREDICTIONS, 400)
    label = COHORT.labels.set_index(["scan_id", "vertebra"])
    for (scan, vertebra), grade in zip(
        rows[["scan_id", "vertebra"]].itertuples(index=False), true_grades(rows, COHORT.labels), strict=True
    ):
        known = (scan, vertebra) in label.index and label.loc[(scan, vertebra), "usable"]
        assert grade == label.loc[(scan, vertebra), "genant_grade"] if known else np.isnan(grade)


def test_the_display_window_maps_its_ends_to_black_and_white():
    grey = grey_values(np.array([-3000, -350, 400, 1150, 3000]), SETTINGS)
    assert grey.tolist() == [0, 0, 128, 255, 255]


def test_the_middle_slice_is_mid_sagittal():
    stacks = np.arange(2 * 5)[:, None, None].reshape(2, 5, 1, 1) * np.ones((2, 5, 4, 4))
    assert mid_sagittal(stacks)[:, 0, 0].tolist() == [2, 7]


@pytest.mark.parametrize("grey", [0, 255])
def test_synthetic_images_carry_the_word_in_their_pixels_on_black_and_on_white(grey):
    marked = watermarked(np.full((64, 64), grey, np.uint8))
    assert marked.shape == (TILE, TILE, 3)
    changed = (marked != grey).any(axis=2)
    assert 0.02 < changed.mean() < 0.2
    columns = np.flatnonzero(changed.any(axis=0))
    assert np.ptp(columns) > 0.6 * TILE  # across most of the width: it cannot be cropped away


def test_difference_maps_are_white_where_nothing_changed_and_saturate():
    image = difference_map(np.array([[100, 500, 1000]]), np.array([[100, 100, 100]]), SETTINGS)
    assert image[0, 0].min() > 240
    assert image[0, 1].tolist() == image[0, 2].tolist()
    denser, lighter = (difference_map(np.array([[hu]]), np.array([[0]]), SETTINGS)[0, 0] for hu in (300, -300))
    assert denser[0] > denser[2]  # orange
    assert lighter[2] > lighter[0]  # violet


def test_the_montage_names_level_severity_and_truth(tmp_path):
    rows = spread_by_severity(PREDICTIONS, 12)
    figure = montage_figure(mid_sagittal(make_crops(rows["severity"])), rows, np.full(12, np.nan), SETTINGS)
    assert f"{rows['severity'].iloc[-1]:.1f}  true ?" in _texts(figure)
    assert NOTICE in _texts(figure)
    for run in ("a", "b"):
        save_figure(figure, tmp_path / f"{run}.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def _ink(figure, text) -> tuple[float, float]:
    """Left and right end of a text in pixels."""
    figure.canvas.draw()
    box = text.get_window_extent()
    return box.x0, box.x1


@pytest.mark.parametrize("scan", ["p-1", "sub-verse400-ct", "ABCDEFGHIJ-" * 3, "ABCDEFGHIJ-" * 12])
def test_montage_and_strips_name_the_scan_and_never_cut_it_off_or_into_the_next(scan):
    rows = spread_by_severity(PREDICTIONS, 9).assign(scan_id=scan)  # field test B13
    montage = montage_figure(mid_sagittal(make_crops(rows["severity"])), rows, np.full(9, np.nan), SETTINGS)
    shown = [text for text in montage.axes[0].texts if text.get_text() == scan_text(scan)]
    assert len(shown) == 9
    ends = [_ink(montage, text) for text in shown[:8]]
    assert ends[0][0] >= 0
    assert all(left[1] <= right[0] for left, right in itertools.pairwise(ends))
    assert ends[-1][1] <= montage.bbox.x1
    images, strips = _strips()
    figure = counterfactual_figure(images, strips.assign(scan_id=scan), np.array([0.0, np.nan]), SETTINGS)
    beside = [text for text in figure.axes[0].texts if text.get_text() == f"Scan\n{scan_text(scan)}"]
    assert len(beside) == 2
    assert all(_ink(figure, text)[1] <= figure.axes[0].transData.transform((1.02, 0))[0] for text in beside)


def test_a_long_scan_id_keeps_both_of_its_ends():
    assert scan_text("short-1") == "short-1"
    assert scan_text("a" * 30) == "a" * 20 + "\n" + "a" * 10
    text = scan_text("begin" + "x" * 100 + "end")
    assert text.startswith("begin")
    assert text.endswith("end")
    assert [len(line) for line in text.split("\n")] == [20, 20]


def test_uncertain_levels_are_no_names_in_montage_and_strips():  # field test A11
    rows = spread_by_severity(PREDICTIONS, 2).assign(label_confidence=[0.3, 0.97])
    names = [NAMES[vertebra] for vertebra in rows["vertebra"]]
    text = _texts(montage_figure(mid_sagittal(make_crops(rows["severity"])), rows, np.full(2, np.nan), SETTINGS))
    assert f"about {names[0]}  " in text
    assert f"about {names[1]}" not in text
    images, strips = _strips()
    text = _texts(counterfactual_figure(images, strips.assign(label_confidence=0.3), np.full(2, np.nan), SETTINGS))
    assert text.count("about ") == 2


def _strips() -> tuple[np.ndarray, pd.DataFrame]:
    strips = spread_by_severity(PREDICTIONS, 2).assign(reconstruction_error_hu=[41.4, 57.0])
    strips = strips.assign(**{f"severity_at_{grade}": grade + 0.3 for grade in range(4)})
    return np.stack([make_crops(np.full(6, severity)) for severity in strips["severity"]]), strips


def test_every_synthetic_image_of_the_strips_is_watermarked_and_the_crop_is_not():
    images, strips = _strips()
    shown = counterfactual_figure(images, strips, np.array([0.0, np.nan]), SETTINGS).axes[0].images
    crops = [image for image in shown if image.get_array().shape == (64, 64)]
    synthetic = [image for image in shown if image.get_array().shape == (TILE, TILE, 3)]
    assert (len(crops), len(synthetic)) == (2, 2 * 10)
    for image in synthetic:
        band = np.asarray(image.get_array())[TILE - 32 :]
        assert (band == 0).all(axis=2).any()
        assert (band == 255).all(axis=2).any()


def test_the_reconstruction_error_stands_beside_the_strip():
    images, strips = _strips()
    text = _texts(counterfactual_figure(images, strips, np.array([0.0, np.nan]), SETTINGS))
    assert "41 HU (RMS)" in text
    assert "True grade unknown" in text
    assert NOTICE in text


def test_montage_and_strips_say_what_is_doubtful_of_a_grade():
    flags = ["doubtful_points metal methods_disagree unlike_training", ""]
    rows = spread_by_severity(PREDICTIONS, 2)
    doubted = with_doubts(rows, grade_table({"dae": PREDICTIONS}).iloc[::-1])
    assert doubted[["scan_id", "vertebra"]].equals(rows[["scan_id", "vertebra"]])
    montage = montage_figure(
        mid_sagittal(make_crops(rows["severity"])), doubted.assign(flags=flags), np.full(2, np.nan), SETTINGS
    )
    images, strips = _strips()
    shown = counterfactual_figure(images, strips.assign(flags=flags), np.array([0.0, np.nan]), SETTINGS)
    for figure in (montage, shown):
        words = " ".join(_texts(figure).split())
        for doubt in ("unlike training", "methods disagree", "doubtful points"):
            assert words.count(doubt) == 1
    (text,) = (text for text in montage.axes[0].texts if "unlike training" in text.get_text())
    left, right = _ink(montage, text)
    assert left >= 0
    assert right - left < montage.bbox.width / 8


def test_no_graded_vertebra_gives_a_picture_that_says_so(tmp_path):
    rows = spread_by_severity(PREDICTIONS.assign(evaluable=False), 5)
    empty = montage_figure(np.zeros((0, 64, 64)), rows, np.zeros(0), SETTINGS)
    strips = counterfactual_figure(np.zeros((0, 6, 5, 64, 64)), rows, np.zeros(0), SETTINGS)
    for figure in (empty, strips):
        assert "No graded vertebra" in _texts(figure)
        save_figure(figure, tmp_path / "empty.png")
