"""What lies where in a crop: bodies, endplates, discs and neighbours, in crops drawn by hand."""

import numpy as np
import pandas as pd
import pytest

from vertegrade.drawn_tables import AREAS
from vertegrade.evaluation.areas import areas_of, neighbours_of, part_of_spine
from vertegrade.evaluation.average_intact import average_intact, intact_rows
from vertegrade.levels import LABEL_OF
from vertegrade.settings.spine import CropSettings
from vertegrade.tables import POINT_COLUMNS

NAN = np.full((1, 6, 2), np.nan)


def six(top: float, bottom: float) -> np.ndarray:
    """A body from column 20 to 44 between two rows."""
    return np.array([[[y, x] for x in (20, 32, 44) for y in (top, bottom)]], float)


def area_at(areas: np.ndarray, row: int, column: int = 32) -> str:
    return AREAS[areas[0, row, column]]


def test_each_area_lies_where_it_should() -> None:
    areas = areas_of(six(24, 40), six(20, 44), six(-2, 12), six(52, 66), 64, 1.0)
    found = {row: area_at(areas, row) for row in (5, 12, 14, 17, 20, 21, 24, 26, 32, 40, 42, 43, 48, 50, 60)}
    assert found == {
        5: "neighbours", 12: "neighbours", 14: "neighbours", 17: "discs", 20: "lost", 21: "lost", 24: "endplates",
        26: "endplates", 32: "body", 40: "endplates", 42: "endplates", 43: "lost", 48: "discs", 50: "neighbours",
        60: "neighbours",
    }  # fmt: skip
    assert area_at(areas, 32, 2) == area_at(areas, 17, 60) == area_at(areas, 32, 60) == "elsewhere"


def test_unknown_neighbours_are_elsewhere() -> None:
    areas = areas_of(six(24, 40), six(24, 40), NAN, NAN, 64, 1.0)
    assert area_at(areas, 5) == area_at(areas, 17) == area_at(areas, 60) == "elsewhere"
    assert {AREAS[place] for place in np.unique(areas)} == {"elsewhere", "body", "endplates"}


def test_millimetres_count_not_pixels() -> None:
    fine = areas_of(six(20, 44), six(20, 44), NAN, NAN, 64, 0.5)
    assert area_at(fine, 23) == "endplates"
    assert area_at(areas_of(six(20, 44), six(20, 44), NAN, NAN, 64, 1.0), 23) == "body"


@pytest.mark.parametrize(
    ("level", "part"),
    [("C7", "cervical"), ("T1", "thoracic"), ("T9", "thoracic"), ("T10", "thoracolumbar"), ("T13", "thoracolumbar"),
     ("L2", "thoracolumbar"), ("L3", "lumbar"), ("L6", "lumbar")],
)  # fmt: skip
def test_parts_of_the_spine(level: str, part: str) -> None:
    assert part_of_spine(LABEL_OF[level]) == part


def landmarks(levels: dict[str, float]) -> pd.DataFrame:
    """Bodies 20 mm high whose middles lie at these heights (mm, up), in one scan."""
    rows = []
    for level, z in levels.items():
        points = [[0, y, z + end] for y in (12, 0, -12) for end in (10, -10)]
        numbers = dict(zip(POINT_COLUMNS, np.ravel(points).astype(float), strict=True))
        rows.append({"scan_id": "a", "vertebra": LABEL_OF[level]} | numbers)
    return pd.DataFrame(rows)


def straight_frames(height_mm: float) -> np.ndarray:
    """Of a crop of 64 rows of 1 mm around a height, of a straight spine."""
    frames = np.zeros((1, 64, 3, 3))
    frames[0, :, 0, 2] = height_mm - (np.arange(64) - 31.5)
    frames[0, :, 1], frames[0, :, 2] = [0, -1, 0], [-1, 0, 0]
    return frames


def test_neighbours_are_the_next_levels_in_the_crop() -> None:
    crop = CropSettings(size=64, pixel_mm=1.0)
    rows = pd.DataFrame({"scan_id": ["a"], "vertebra": [LABEL_OF["T12"]], "shard": [0], "crop": [0]})
    spine = {"T11": 30.0, "T12": 0.0, "T13": -30.0, "L1": -60.0}
    above, below = neighbours_of(rows, landmarks(spine), [straight_frames(0)], crop)
    np.testing.assert_allclose(above[0, 0], [31.5 - 40, 31.5 - 12])
    np.testing.assert_allclose(below[0, :2, 0], [31.5 + 20, 31.5 + 40])
    del spine["T13"]  # then L1 follows
    _, below = neighbours_of(rows, landmarks(spine), [straight_frames(0)], crop)
    np.testing.assert_allclose(below[0, 0, 0], 31.5 + 50)
    above, below = neighbours_of(rows, landmarks({"T10": 60.0, "T12": 0.0, "L2": -60.0}), [straight_frames(0)], crop)
    assert np.isnan([above, below]).all()  # T11 and L1 were not found


def test_the_average_is_of_intact_ones_of_the_same_part() -> None:
    predictions = pd.DataFrame(
        {"scan_id": "a", "vertebra": [LABEL_OF[level] for level in ("T5", "T6", "L3", "L4", "T7", "T8")],
         "evaluable": [True, True, True, True, True, False], "grade": [0, 0, 0, 0, 1, 0], "split": "train",
         "shard": 0, "crop": range(6)}
    )  # fmt: skip
    pixels = [np.arange(6, dtype=np.int16)[:, None, None, None] * np.ones((1, 2, 4, 4), np.int16)]
    intact = intact_rows(predictions)
    assert intact["crop"].tolist() == [0, 1, 2, 3]
    wanted = [LABEL_OF["T9"], LABEL_OF["L5"], LABEL_OF["L1"]]
    found = average_intact(wanted, intact, pixels, lambda crops: crops[:, :1].astype(np.float32))
    np.testing.assert_allclose(found[:, 0, 0, 0], [0.5, 2.5, 1.5])  # no thoracolumbar one: that of all
    mixed = predictions.assign(split=["test", "train", "test", "test", "train", "train"])
    assert intact_rows(mixed)["crop"].tolist() == [1]
    assert intact_rows(predictions.assign(split="test"))["crop"].tolist() == [0, 1, 2, 3]
