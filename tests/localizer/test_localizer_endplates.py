"""Points of a scan move together towards the outer edge of its endplates."""

import numpy as np
import pytest

from vertegrade.ct.volume import Volume
from vertegrade.localizer.refiner.endplates import LARGEST_MM, ON_PHANTOMS_MM, WEIGHT, at_outer_edge, edge_mm

AFFINE = np.diag([1.0, 1.0, 0.5, 1.0])
TOPS = (100.0, 70.0, 40.0)  # of bodies 20 mm high


def volume(bright: float = 500.0) -> Volume:
    """Bodies of spongiosa with endplates of 1 mm, sharp at their outer side, between discs."""
    z = 0.5 * np.arange(240)
    inside = np.any([(z <= top) & (z >= top - 20) for top in TOPS], axis=0)
    core = np.any([(z < top - 1) & (z > top - 19) for top in TOPS], axis=0)
    hu = np.broadcast_to(np.where(core, (bright + 80) / 2, np.where(inside, bright, 80.0)), (60, 60, 240))
    return Volume(np.ascontiguousarray(hu.astype(np.int16)), AFFINE)


def points(inside_mm: float) -> np.ndarray:
    """Six points (3, 6, 3) of the bodies, each so far inside its endplate."""
    depths = (42.0, 30.0, 18.0)
    return np.array(
        [[[30, y, z] for y in depths for z in (top - inside_mm, top - 20 + inside_mm)] for top in TOPS], dtype=float
    )


@pytest.mark.parametrize("inside_mm", [0.0, 0.8, 1.5])
def test_the_edge_is_where_the_bone_ends(inside_mm: float) -> None:
    assert np.allclose(edge_mm(volume(), points(inside_mm)), inside_mm + 0.25, atol=0.15)  # half a voxel beyond


@pytest.mark.parametrize(("inside_mm", "expected"), [(0.8, 1.05 - ON_PHANTOMS_MM), (1.9, LARGEST_MM)])
def test_all_points_move_outward_by_one_length_within_its_limit(inside_mm: float, expected: float) -> None:
    given = points(inside_mm)
    moved = at_outer_edge(volume(), given) - given
    assert np.allclose(moved[:, 0::2], [0, 0, moved[0, 0, 2]])
    assert np.allclose(moved[:, 1::2], [0, 0, -moved[0, 0, 2]])
    assert moved[0, 0, 2] == pytest.approx(WEIGHT * expected, abs=0.1)


def test_one_odd_endplate_changes_nothing_for_the_others() -> None:
    given = points(0.8)
    odd = given.copy()
    odd[1, 0, 2] -= 1.0
    shift = [at_outer_edge(volume(), one)[0, 0, 2] - one[0, 0, 2] for one in (given, odd)]
    assert shift[0] == pytest.approx(shift[1], abs=0.02)


def test_without_clear_edges_the_points_stay() -> None:
    given = points(0.8)
    assert np.isnan(edge_mm(volume(bright=120.0), given)).all()
    np.testing.assert_array_equal(at_outer_edge(volume(bright=120.0), given), given)
    np.testing.assert_array_equal(at_outer_edge(volume(), given[:1]), given[:1])
