"""The picture of what localization found in a scan."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.image import imread

from vertegrade.ct.volume import Volume
from vertegrade.plotting import NOTICE, save_figure
from vertegrade.report.localization_picture import COLOUR, localization_figure
from vertegrade.report.spine_view import PIXEL_MM, _reformat, body_outline, spine_view
from vertegrade.settings.report import ReportSettings
from vertegrade.spine.centreline import fit_centreline
from vertegrade.tables import LANDMARKS, POINT_COLUMNS, check_table

AFFINE = np.array([[2.0, 0, 0, -50], [0, 2, 0, -80], [0, 0, 2, 0], [0, 0, 0, 1]])
# A spine that leans to the right by 10 mm on 90 mm.
CENTRES = np.array([[10.0, 0, 105], [6.67, 0, 75], [3.33, 0, 45], [0, 0, 15]])


@pytest.fixture(scope="module")
def volume() -> Volume:
    """Soft tissue with a bright rod along the line of the centres, 10 mm wide."""
    i, j, k = np.meshgrid(*[np.arange(n) for n in (50, 70, 60)], indexing="ij")
    x, y, z = 2.0 * i - 50, 2.0 * j - 80, 2.0 * k
    rod = np.hypot(x - (z - 15) / 9, y) < 5
    return Volume(np.where(rod, 1000, 40).astype(np.int16), AFFINE)


def landmarks() -> pd.DataFrame:
    """Four vertebrae; the second is not evaluable, the third has six points."""
    rows = [
        {"patient_id": "p1", "scan_id": "s1", "vertebra": 19 + place, "confidence": 0.9, "source": "learned"}
        | dict(zip(["centre_x_mm", "centre_y_mm", "centre_z_mm"], centre, strict=True))
        | dict.fromkeys(POINT_COLUMNS, math.nan)
        | {"evaluable": place != 1, "reason": "low_confidence" if place == 1 else ""}
        for place, centre in enumerate(CENTRES)
    ]
    points = [[3.33, depth, end] for depth in (12.0, 0.0, -12.0) for end in (55.0, 35.0)]
    rows[2] |= dict(zip(POINT_COLUMNS, np.ravel(points), strict=True))
    return check_table(pd.DataFrame(rows)[[name for name in LANDMARKS.columns if name in rows[0]]], LANDMARKS, "test")


def figure_of(volume: Volume, rows: pd.DataFrame) -> Figure:
    return localization_figure(spine_view(volume, rows, ReportSettings()), rows)


def test_the_view_says_where_its_pixels_lie(volume: Volume) -> None:
    view = spine_view(volume, landmarks(), ReportSettings())
    assert view.grey.shape == (len(view.z), len(view.y))
    row, column = round((view.z[0] - 45) / PIXEL_MM), round(view.y[0] / PIXEL_MM)
    rod, beside = view.grey[row, column], view.grey[row, column + 20]
    assert (view.z[row], view.y[column]) == pytest.approx((45, 0), abs=PIXEL_MM / 2)
    assert rod > 200 > 100 > beside


def test_a_body_without_points_has_a_box_about_its_centre() -> None:
    box = body_outline(np.full((6, 3), np.nan), CENTRES, 1)
    np.testing.assert_allclose(box[:-1].mean(axis=0), CENTRES[1])
    assert 20 < np.ptp(box[:, 2]) < 30


def test_the_picture_follows_the_spine_to_the_side(volume: Volume) -> None:
    z = np.arange(100.0, 10, -1)
    image = _reformat(volume, fit_centreline(CENTRES, 0), z, np.array([0.0, 20.0]))
    assert (image[:, 0] > 800).all()
    assert (image[:, 1] == 40).all()


def test_uncertain_levels_and_doubtful_points_are_seen(volume: Volume) -> None:  # field test A11
    doubtful = landmarks().assign(label_confidence=[0.95, 0.4, math.nan, 0.89], flags=["", "", "doubtful_points", ""])
    figure = figure_of(volume, doubtful)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert [text.split("  ")[0] for text in texts] == ["T12", "about L1", "L2", "about L3"]
    assert ["doubtful points" in text for text in texts] == [False, False, True, False]


def test_every_vertebra_is_named_with_its_confidence_and_why_it_is_not_evaluable(volume: Volume) -> None:
    figure = figure_of(volume, landmarks())
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["T12  0.90", "L1  0.90  not evaluable: low_confidence", "L2  0.90", "L3  0.90"]
    assert [text.get_text() for text in figure.texts] == ["s1", "learned: 3 of 4 evaluable", NOTICE]


def test_boxes_tell_by_colour_what_is_evaluable_and_points_are_drawn_where_known(volume: Volume) -> None:
    lines = figure_of(volume, landmarks()).axes[0].lines
    boxes = [to_hex(line.get_color()) for line in lines if len(line.get_xdata()) in (5, 7)]
    assert boxes == [COLOUR[place != 1].lower() for place in range(4)]
    segments = [line for line in lines if len(line.get_xdata()) == 2]
    assert [np.ptp(line.get_ydata()) for line in segments] == [20, 20, 20]


@pytest.mark.parametrize("reason", ["low_confidence", "landmarks_contradict_image"])
def test_no_text_is_cut_off_at_the_pictures_edge(volume: Volume, reason: str) -> None:
    """Neither the usual ones nor the longest: uncertain level, doubtful points, a long reason."""  # field test B13
    rows = landmarks().assign(evaluable=False, reason=reason, label_confidence=0.4, flags="doubtful_points")
    figure = figure_of(volume, rows)
    figure.canvas.draw()
    for text in [*figure.axes[0].texts, *figure.texts]:
        assert text.get_window_extent().x1 <= figure.bbox.x1, text.get_text()


def test_texts_of_crowded_vertebrae_do_not_overlap(volume: Volume) -> None:
    crowded = landmarks().assign(centre_z_mm=[60.0, 59.0, 58.0, 20.0])
    heights = [text.get_position()[1] for text in figure_of(volume, crowded).axes[0].texts]
    assert (-np.diff(heights) >= 7).all()


@pytest.mark.parametrize("rows", [slice(0, 1), slice(0, 4)], ids=["one vertebra", "four"])
def test_the_same_scan_gives_the_same_bytes(volume: Volume, rows: slice, tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        save_figure(figure_of(volume, landmarks()[rows]), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert imread(tmp_path / "a.png").std() > 0.1
