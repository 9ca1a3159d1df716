"""Heights are distances in the patient's space; severity and grade follow from the loss by Genant's limits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from vertegrade.spine.heights import column_height_sds, column_heights, genant_grade, genant_severity


def six_points(heights: list[float]) -> np.ndarray:
    """Points (1, 6, 3) of upright columns 14 mm apart with the given heights."""
    return np.array([[[0.0, -14.0 * n, end * height] for n, height in enumerate(heights) for end in (0.5, -0.5)]])


def test_heights_do_not_depend_on_where_the_vertebra_lies_and_how_it_is_turned():
    points = six_points([24.0, 22.5, 26.0])
    turned = Rotation.from_euler("xyz", [35, -20, 10], degrees=True).apply(points[0])
    np.testing.assert_allclose(column_heights(turned[None] + np.array([10.0, -200.0, 1400.0])), [[24.0, 22.5, 26.0]])


def test_unknown_point_makes_its_own_column_unknown():
    points = six_points([24.0, 22.5, 26.0])
    points[0, 3] = np.nan
    np.testing.assert_array_equal(np.isnan(column_heights(points)), [[False, True, False]])


def test_error_bar_is_the_spread_of_the_heights():
    points, sd = six_points([24.0, 22.5, 26.0]), np.array([0.5, 1.0, 0.3, 0.3, 0.8, 0.2])
    noise = np.random.default_rng(1).normal(0, sd[:, None], (20_000, 6, 3))
    np.testing.assert_allclose(column_height_sds(sd[None])[0], column_heights(points + noise).std(axis=0), rtol=0.03)


def test_genant_limits_are_half_open():
    assert [genant_grade(loss) for loss in (0, 0.199, 0.2, 0.249, 0.25, 0.399, 0.4, 1)] == [0, 0, 1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize("loss", [-0.01, 1.01, float("nan")])
def test_loss_that_is_no_fraction_has_no_grade(loss: float):
    with pytest.raises(ValueError, match="fraction"):
        genant_grade(loss)


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=20))
def test_severity_never_falls_with_the_loss(losses: list[float]):
    severity = genant_severity(np.sort(losses))
    assert (np.diff(severity) >= 0).all()
    assert ((severity >= 0) & (severity <= 3)).all()


@given(st.floats(0, 1))
def test_rounded_severity_is_the_grade(loss: float):
    severity = genant_severity(np.array([loss]))[0]
    assert np.floor(severity + 0.5 + 1e-12) == genant_grade(loss)
