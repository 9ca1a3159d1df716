"""The centreline is smooth, keeps the spine's curves, and is measured in millimetres of arc."""

import numpy as np
import pytest

from helpers.spines import normal_spine
from vertegrade.spine.centreline import fit_centreline, rotation_minimising


def test_without_smoothing_it_passes_through_the_centres() -> None:
    centres = normal_spine()
    line = fit_centreline(centres, 0.0)
    points, _ = line.at(line.nearest(centres))
    np.testing.assert_allclose(points, centres, atol=1e-3)


def test_kyphosis_and_lordosis_stay_with_smoothing() -> None:
    centres = normal_spine()
    line = fit_centreline(centres, 100.0)
    points, _ = line.at(line.nearest(centres))
    assert np.linalg.norm(points - centres, axis=1).max() < 1.0


def test_smoothing_halves_what_jitter_does_to_the_tangents() -> None:
    centres = normal_spine()
    jittered = centres + np.random.default_rng(0).normal(0, 1.0, centres.shape)

    def error_degrees(smoothing_mm: float) -> float:
        true = fit_centreline(centres, 0.0)
        line = fit_centreline(jittered, smoothing_mm)
        cosine = (line.at(line.nearest(jittered))[1] * true.at(true.nearest(centres))[1]).sum(axis=1)
        return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))).mean())

    assert error_degrees(100.0) < 0.6 * error_degrees(0.0)


def test_a_wave_of_the_smoothing_length_keeps_half_its_height() -> None:
    z = -20.0 * np.arange(41)
    wave = 4.0 * np.cos(2 * np.pi * z / 100.0)
    line = fit_centreline(np.stack([wave * 0, wave * 0.01, z], axis=1), 100.0)
    middle = line.at(line.nearest(np.array([[0.0, 0.04, -400.0]])))[0]
    assert middle[0, 1] == pytest.approx(0.02, abs=0.001)


def test_arc_length_is_millimetres_on_the_curve() -> None:
    line = fit_centreline(normal_spine(), 100.0)
    points, tangents = line.at(np.arange(-30.0, 500.0, 0.5))
    np.testing.assert_allclose(np.linalg.norm(np.diff(points, axis=0), axis=1), 0.5, atol=5e-4)
    np.testing.assert_allclose(np.linalg.norm(tangents, axis=1), 1.0)


def test_it_runs_on_straight_beyond_its_ends() -> None:
    line = fit_centreline(normal_spine(), 100.0)
    for arcs in (np.array([-40.0, -20.0, 0.0]), line.arcs[-1] + np.array([0.0, 20.0, 40.0])):
        _, tangents = line.at(arcs)
        np.testing.assert_allclose(tangents, tangents[:1].repeat(3, axis=0), atol=1e-9)
    np.testing.assert_allclose(line.spline(line.chords[[0, -1]], 2), 0, atol=1e-9)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_centres_are_enough(count: int) -> None:
    centres = normal_spine()[:count]
    points, tangents = fit_centreline(centres, 100.0).at(np.array([0.0]))
    np.testing.assert_allclose(points, centres[:1], atol=0.5)
    assert (tangents[:, 2] < -0.8).all()


def test_a_single_centre_gives_a_line_straight_down() -> None:
    points, _ = fit_centreline(np.array([[1.0, 2.0, 3.0]]), 100.0).at(np.array([-10.0, 10.0]))
    np.testing.assert_allclose(points, [[1, 2, 13], [1, 2, -7]], atol=1e-9)


def test_coinciding_centres_are_refused() -> None:
    with pytest.raises(ValueError, match="coincide"):
        fit_centreline(np.zeros((2, 3)), 100.0)


def test_the_nearest_place_is_reached_at_a_right_angle() -> None:
    line = fit_centreline(normal_spine(), 100.0)
    points = normal_spine() + np.array([5.0, -8.0, 2.0])
    curve, tangents = line.at(line.nearest(points))
    np.testing.assert_allclose(((points - curve) * tangents).sum(axis=1), 0, atol=1e-3)


def test_a_rotation_minimising_frame_on_a_helix_turns_back_by_its_torsion() -> None:
    # Helix of radius a and pitch 2 pi b: relative to the Frenet frame the vector turns by -torsion * arc length.
    a, b = 30.0, 40.0
    c = np.hypot(a, b)
    t = np.linspace(0, 2, 201)
    points = np.stack([a * np.cos(t), a * np.sin(t), b * t], axis=1)[:, None]
    tangents = np.stack([-a * np.sin(t), a * np.cos(t), b + 0 * t], axis=1)[:, None] / c
    normals = np.stack([-np.cos(t), -np.sin(t), 0 * t], axis=1)[:, None]
    vectors = rotation_minimising(points, tangents, normals[0])
    binormals = np.cross(tangents, normals)
    angle = np.arctan2((vectors * binormals).sum(axis=-1), (vectors * normals).sum(axis=-1))[:, 0]
    np.testing.assert_allclose(angle, -b / c * t, atol=1e-6)
