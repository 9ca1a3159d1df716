"""Pictures: the order of the montage, the window, the watermark and the differences."""

import itertools

import numpy as np
import pytest

from helpers.synthetic_crops import make_crops
from helpers.synthetic_predictions import make_cohort
from vertegrade.grading.grades import grade_table
from vertegrade.levels import NAMES
from vertegrade.plotting import NOTICE, grey_values, save_figure
from vertegrade.report.montage import (
    mid_sagittal,
    montage_figure,
    scan_text,
    true_grades,
    with_doubts,
)
from vertegrade.report.severities import severity_text
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


def test_as_many_as_wanted_are_shown_where_most_are_alike():
    few = PREDICTIONS[(PREDICTIONS["split"] == "test") & PREDICTIONS["evaluable"]].head(5)
    rows = spread_by_severity(few.assign(severity=[0.0, 0.01, 0.02, 0.03, 3.0]), 5)
    assert rows["severity"].tolist() == [0.0, 0.01, 0.02, 0.03, 3.0]


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


def test_the_montage_names_level_severity_and_truth(tmp_path):
    rows = spread_by_severity(PREDICTIONS, 12)
    figure = montage_figure(mid_sagittal(make_crops(rows["severity"])), rows, np.full(12, np.nan), SETTINGS)
    assert f"{severity_text(rows['severity'].iloc[-1])}  true ?" in _texts(figure)
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
def test_the_montage_names_the_scan_and_never_cuts_it_off_or_into_the_next(scan):
    rows = spread_by_severity(PREDICTIONS, 9).assign(scan_id=scan)  # field test B13
    montage = montage_figure(mid_sagittal(make_crops(rows["severity"])), rows, np.full(9, np.nan), SETTINGS)
    shown = [text for text in montage.axes[0].texts if text.get_text() == scan_text(scan)]
    assert len(shown) == 9
    ends = [_ink(montage, text) for text in shown[:8]]
    assert ends[0][0] >= 0
    assert all(left[1] <= right[0] for left, right in itertools.pairwise(ends))
    assert ends[-1][1] <= montage.bbox.x1


def test_a_long_scan_id_keeps_both_of_its_ends():
    assert scan_text("short-1") == "short-1"
    assert scan_text("a" * 30) == "a" * 20 + "\n" + "a" * 10
    text = scan_text("begin" + "x" * 100 + "end")
    assert text.startswith("begin")
    assert text.endswith("end")
    assert [len(line) for line in text.split("\n")] == [20, 20]


def test_uncertain_levels_are_no_names_in_the_montage():  # field test A11
    rows = spread_by_severity(PREDICTIONS, 2).assign(label_confidence=[0.3, 0.97])
    names = [NAMES[vertebra] for vertebra in rows["vertebra"]]
    text = _texts(montage_figure(mid_sagittal(make_crops(rows["severity"])), rows, np.full(2, np.nan), SETTINGS))
    assert f"about {names[0]}  " in text
    assert f"about {names[1]}" not in text


def test_the_montage_says_what_is_doubtful_of_a_grade():
    flags = ["doubtful_points metal methods_disagree unlike_training", ""]
    rows = spread_by_severity(PREDICTIONS, 2)
    doubted = with_doubts(rows, grade_table({"dae": PREDICTIONS}).iloc[::-1])
    assert doubted[["scan_id", "vertebra"]].equals(rows[["scan_id", "vertebra"]])
    montage = montage_figure(
        mid_sagittal(make_crops(rows["severity"])), doubted.assign(flags=flags), np.full(2, np.nan), SETTINGS
    )
    words = " ".join(_texts(montage).split())
    for doubt in ("unlike training", "methods disagree", "doubtful points"):
        assert words.count(doubt) == 1
    (text,) = (text for text in montage.axes[0].texts if "unlike training" in text.get_text())
    left, right = _ink(montage, text)
    assert left >= 0
    assert right - left < montage.bbox.width / 8


def test_no_graded_vertebra_gives_a_picture_that_says_so(tmp_path):
    rows = spread_by_severity(PREDICTIONS.assign(evaluable=False), 5)
    empty = montage_figure(np.zeros((0, 64, 64)), rows, np.zeros(0), SETTINGS)
    assert "No graded vertebra" in _texts(empty)
    save_figure(empty, tmp_path / "empty.png")
