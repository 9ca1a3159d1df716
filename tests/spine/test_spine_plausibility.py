"""Landmarks that cannot be a spine's at all, whatever the image shows."""

from itertools import pairwise

import numpy as np
import pytest

from vertegrade.ct.volume import Volume
from vertegrade.levels import LABEL_OF, NAMES
from vertegrade.spine.plausibility import expected_mm, geometry_problem, height_problem, lies_along

VOLUME = Volume(np.zeros((60, 60, 300), np.int16), np.diag([2.0, 2.0, 2.5, 1.0]))


def spine(*names: str, size: float = 1.0, with_t13: bool = False) -> dict[int, np.ndarray]:
    """Centres of the named vertebrae at their mean distances, head to feet in the order given."""
    labels = [LABEL_OF[name] for name in names]
    z = 700.0 - size * np.cumsum([0.0, *(expected_mm(a, b, with_t13) for a, b in pairwise(labels))])
    return {label: np.array([60.0, 60.0 + n % 3, at]) for n, (label, at) in enumerate(zip(labels, z, strict=True))}


LUMBAR = ("T12", "L1", "L2", "L3", "L4", "L5")


@pytest.mark.parametrize("size", [0.75, 1.0, 1.25])
def test_spines_of_small_and_tall_people_pass(size: float) -> None:
    assert geometry_problem(spine(*LUMBAR, size=size), VOLUME) is None
    assert geometry_problem(spine(*[f"T{n}" for n in range(1, 13)], size=size), VOLUME) is None


def test_variants_gaps_and_single_vertebrae_pass() -> None:
    assert geometry_problem(spine("L3"), VOLUME) is None
    assert geometry_problem(spine("T4", "T8", "L2"), VOLUME) is None
    assert geometry_problem(spine("T11", "T12", "T13", "L1", with_t13=True), VOLUME) is None


def test_a_spine_without_t12_passes() -> None:
    centres = spine("T10", "T11")
    for n, name in enumerate(("L1", "L2", "L3")):
        centres[LABEL_OF[name]] = centres[LABEL_OF["T11"]] - [0, 0, 28.0 + 33 * n]
    assert geometry_problem(centres, VOLUME) is None


@pytest.mark.parametrize("size", [0.45, 1.9])
def test_other_units_are_told_by_the_distances(size: float) -> None:  # field test A10
    problem = geometry_problem(spine(*LUMBAR[1:4], size=size), VOLUME)
    assert problem is not None
    assert f"{size:.2f} times as far apart" in problem


def test_counts_of_one_millimetre_voxels_are_told_as_what_they_are() -> None:  # field test A10
    volume = Volume(np.zeros((60, 60, 300), np.int16), np.diag([2.0, 2.0, 2.0, 1.0]))
    problem = geometry_problem({k: c * [1, 1, 2] - [0, 0, 800] for k, c in spine(*LUMBAR[:4]).items()}, volume)
    assert problem is not None
    assert "counts of 1 mm voxels are read as voxels of 2 mm" in problem


def test_centres_outside_the_scan_are_of_another_image() -> None:  # field test A10
    problem = geometry_problem({k: c + np.array([100, 0, 0]) for k, c in spine(*LUMBAR).items()}, VOLUME)
    assert problem is not None
    assert "6 of 6 centres lie outside the scan" in problem


def test_t13_without_neighbours_is_totalsegmentators_l4() -> None:  # field test A10
    problem = geometry_problem(spine("T13"), VOLUME)
    assert problem is not None
    assert "in TotalSegmentator's numbering 28 is L4" in problem
    both = geometry_problem(spine("T13", "L6", with_t13=True), VOLUME)  # L4 and the sacrum
    assert both is not None


def test_labels_from_feet_to_head_are_told() -> None:  # field test A10
    labels = [LABEL_OF[name] for name in LUMBAR]
    upside_down = dict(zip(labels, reversed(list(spine(*LUMBAR).values())), strict=True))
    problem = geometry_problem(upside_down, VOLUME)
    assert problem is not None
    assert "the labels run from feet to head (T12 lies below L5)" in problem


def test_a_spine_lies_along_the_body() -> None:  # field test A7
    centres = np.stack(list(spine(*LUMBAR).values()))
    assert lies_along(centres) is None
    assert lies_along(centres[:1]) is None
    assert lies_along(centres[:, [2, 1, 0]]) == "from side to side"
    assert lies_along(centres[:, [0, 2, 1]]) == "from front to back"


def points_of_height(height_mm: float) -> np.ndarray:
    """Six points of a body 30 mm deep: anterior, middle and posterior, each superior then inferior."""
    return np.array([[0.0, y, z * height_mm / 2] for y in (15, 0, -15) for z in (1, -1)])


def test_heights_that_no_body_of_the_level_has_are_told() -> None:  # field test A10
    crushed = points_of_height(28.0)
    crushed[:4, 2] *= 0.5
    sound = {LABEL_OF["L1"]: points_of_height(26.0), LABEL_OF["L2"]: crushed, LABEL_OF["C3"]: points_of_height(1.0)}
    assert height_problem(sound) is None
    assert height_problem({LABEL_OF["L1"]: np.full((6, 3), np.nan)}) is None
    for factor in (0.4, 1.8):
        problem = height_problem({label: factor * six for label, six in sound.items()})
        assert problem is not None
        assert "times as high as those of their levels" in problem


def test_expected_distances_add_up() -> None:
    labels = sorted(label for label in NAMES if label != LABEL_OF["T13"])
    steps = [expected_mm(a, b) for a, b in pairwise(labels)]
    assert sum(steps) == pytest.approx(expected_mm(labels[0], labels[-1]))
    assert min(steps) > 10
