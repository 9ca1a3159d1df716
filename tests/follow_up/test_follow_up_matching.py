"""Which vertebra of a later scan is which of an earlier one: by what they look like, not by their names alone."""

import numpy as np
import pandas as pd
import pytest

from helpers.landmarks import landmarks, normal_heights
from vertegrade.follow_up.matching import match
from vertegrade.follow_up.shapes import LENGTHS, spine_of
from vertegrade.levels import LABEL_OF
from vertegrade.tables import CENTRE_COLUMNS, POINT_COLUMNS

LEVELS = [*range(LABEL_OF["T8"], LABEL_OF["L4"] + 1)]


def person(seed: int = 0) -> dict[int, np.ndarray]:
    """Heights of a person whose vertebrae differ from the mean as people's do."""
    rng = np.random.default_rng(seed)
    return {label: normal_heights(label) * np.exp(rng.normal(0, 0.03, 3)) for label in LEVELS}


def scan(heights: dict[int, np.ndarray], seed: int, named: int = 0, confidence: float = 0.97) -> pd.DataFrame:
    """Landmarks measured with errors of 0.3 mm, all names changed by `named` levels; depths grow downwards."""
    table = landmarks(heights, label_confidence=confidence)
    depth = np.array([20 + label for label in heights])
    for name in (name for name in POINT_COLUMNS if name.endswith("_y_mm")):
        table[name] *= depth / 28.0
    table["centre_z_mm"] = -np.cumsum([h.mean() + label / 4 for label, h in heights.items()])
    error = np.random.default_rng(seed).normal(0, 0.3, (len(table), len(POINT_COLUMNS)))
    table[POINT_COLUMNS] += error
    table[CENTRE_COLUMNS] += error[:, :3]
    return table.assign(vertebra=table["vertebra"] + named)


@pytest.mark.parametrize("named", [-2, -1, 0, 1, 2])
@pytest.mark.parametrize("seed", range(2))
def test_scans_are_matched_whatever_the_names_of_the_later_one(named: int, seed: int) -> None:
    heights = person(seed)
    before, after = spine_of(scan(heights, 10 + seed)), spine_of(scan(heights, 20 + seed, named))
    found = match(before, after)
    assert found.shift == -named
    assert found.p > 0.95
    assert sum(found.all_p) == pytest.approx(1)
    pairs = [(int(before.labels[a]), int(after.labels[b])) for a, b in found.pairs]
    assert pairs == [(label, label + named) for label in LEVELS]


def test_a_new_fracture_does_not_shift_the_levels() -> None:
    heights = person()
    broken = heights | {LABEL_OF["L1"]: heights[LABEL_OF["L1"]] * [0.5, 0.6, 0.9]}
    found = match(spine_of(scan(heights, 1)), spine_of(scan(broken, 2, 1)))
    assert (found.shift, found.p > 0.95) == (-1, True)


def test_few_vertebrae_and_names_that_contradict_them_are_doubtful() -> None:
    heights = {label: height for label, height in person().items() if label >= LABEL_OF["L3"]}
    sure = match(spine_of(scan(heights, 1)), spine_of(scan(heights, 2, 0)))
    doubtful = match(spine_of(scan(heights, 1, 0)), spine_of(scan(heights, 2, 1)))
    assert sure.p > 0.95
    assert doubtful.p < 0.9


def test_scans_without_a_vertebra_in_common_have_no_pairs() -> None:
    heights = person()
    upper = {label: height for label, height in heights.items() if label <= LABEL_OF["T9"]}
    lower = {label: height for label, height in heights.items() if label >= LABEL_OF["L2"]}
    assert match(spine_of(scan(upper, 1)), spine_of(scan(lower, 2))).pairs.shape == (0, 2)


def test_places_count_a_thirteenth_thoracic_vertebra_and_lengths_leave_gaps_out() -> None:
    heights = {LABEL_OF[name]: normal_heights(LABEL_OF["T12"]) for name in ("T12", "T13", "L1", "L3")}
    spine = spine_of(landmarks(heights))
    assert spine.places.tolist() == [19, 20, 21, 23]
    to_next = spine.log_lengths[:, LENGTHS.index("to_next")]
    assert np.isfinite(to_next).tolist() == [True, True, False, False]
    assert np.exp(to_next[0]) == pytest.approx(35)
    assert np.exp(spine.log_lengths[0, 3:5]) == pytest.approx([28, 28], abs=0.5)


def test_vertebrae_in_doubt_take_no_part() -> None:
    table = landmarks({label: normal_heights(label) for label in LEVELS})
    table.loc[[0, 1], ["evaluable", "reason"]] = [[False, "cut_by_scan_edge"], [False, "not_graded"]]
    assert spine_of(table).labels.tolist() == LEVELS[1:]
