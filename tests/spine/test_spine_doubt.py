"""Flags of single vertebrae: levels and points that are doubtful, and what a person corrected."""

import math

import pandas as pd

from helpers.landmarks import THORACOLUMBAR, landmarks, normal_heights
from vertegrade.level_texts import UNCERTAIN_LEVEL, level_text
from vertegrade.spine.doubt import with_flags
from vertegrade.tables import POINT_SD_COLUMNS


def flags(**columns: object) -> list[str]:
    """Flags of a spine of 13 vertebrae with these columns of LANDMARKS."""
    table = landmarks({label: normal_heights(label) for label in THORACOLUMBAR})
    return with_flags(table.assign(**columns))["flags"].tolist()


def with_sds(sds: dict[int, float], usual: float = 0.4) -> dict[str, list[float]]:
    """Columns of point errors (mm), the anterior superior ones by the row."""
    columns = {name: [usual] * len(THORACOLUMBAR) for name in POINT_SD_COLUMNS}
    for row, value in sds.items():
        columns[POINT_SD_COLUMNS[0]][row] = value
    return columns


def test_uncertain_levels_are_flagged_beside_the_flags_of_the_scan() -> None:  # field test A11
    sure = [UNCERTAIN_LEVEL] * len(THORACOLUMBAR)
    assert set(flags(label_confidence=sure, flags="metal")) == {"metal"}
    sure[3], sure[5] = 0.53, math.nan
    assert [n for n, text in enumerate(flags(label_confidence=sure, flags="metal")) if text != "metal"] == [3]
    assert flags(label_confidence=sure, flags="metal")[3] == "metal uncertain_level"
    assert (level_text(16, 0.53), level_text(16, 0.95), level_text(16, math.nan)) == ("about T9", "T9", "T9")


def test_a_height_far_less_sure_than_its_neighbours_is_doubtful() -> None:  # field test A11
    """11.3 +- 1.5 mm beside neighbours of 0.5 to 1 mm."""
    found = flags(**with_sds({4: 1.4, 3: 0.8, 5: 0.8}))
    assert [n for n, text in enumerate(found) if text] == [4]
    assert found[4] == "doubtful_points"


def test_a_scan_in_which_all_heights_are_unsure_has_no_doubtful_one() -> None:
    """Thick slices: wide errors everywhere say so already in every interval."""
    assert set(flags(**with_sds({4: 1.1}, usual=0.9))) == {""}


def test_points_of_unknown_error_are_not_doubtful() -> None:
    assert set(flags(**dict.fromkeys(POINT_SD_COLUMNS, math.nan))) == {""}


def test_a_vertebra_alone_in_its_scan_is_doubtful_by_its_error_alone() -> None:
    table = landmarks({9: normal_heights(9)})
    table[POINT_SD_COLUMNS[2]] = 1.2
    assert with_flags(table)["flags"].tolist() == ["doubtful_points"]


def test_vertebrae_that_are_not_evaluable_are_no_neighbours_and_not_doubtful() -> None:
    columns = with_sds({4: 1.4, 3: 9.0})
    evaluable = [row != 3 for row in range(len(THORACOLUMBAR))]
    assert [n for n, text in enumerate(flags(**columns, evaluable=evaluable)) if text] == [4]


def test_corrected_vertebrae_say_so_and_empty_tables_pass() -> None:
    source = ["test"] * (len(THORACOLUMBAR) - 1) + ["override"]
    assert flags(source=source)[-2:] == ["", "corrected"]
    assert with_flags(landmarks({9: normal_heights(9)})[:0]).empty
    assert isinstance(with_flags(landmarks({9: normal_heights(9)})[:0]), pd.DataFrame)
