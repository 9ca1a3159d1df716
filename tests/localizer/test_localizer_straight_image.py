"""The straightened image of a spine and the way back to the patient."""

import numpy as np
import pytest

from helpers.spines import normal_spine
from vertegrade.ct.volume import AIR_HU, Volume
from vertegrade.localizer.refiner.look import body_frames
from vertegrade.localizer.straight_image import BEHIND_MM, GEOMETRY, StraightImage, straight_image
from vertegrade.spine.centreline import Centreline, fit_centreline
from vertegrade.spine.straighten import crop_to_mm

CENTRES = normal_spine(kyphosis=60.0, scoliosis=30.0)[6:12]


def line_of(centres: np.ndarray) -> Centreline:
    return fit_centreline(centres, 0.0)


def ramp(direction: np.ndarray) -> Volume:
    """HU rise by 4 a millimetre along one axis of the patient."""
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = CENTRES.mean(axis=0) - [60, 60, 90]
    places = np.stack(np.meshgrid(*[np.arange(n) for n in (60, 60, 90)], indexing="ij"), axis=-1) * 2.0 + affine[:3, 3]
    return Volume(np.rint(4 * (places - CENTRES[2]) @ direction).astype(np.int16), affine)


@pytest.fixture(scope="module")
def image() -> StraightImage:
    return straight_image(ramp(np.array([0.0, 0.0, -1.0])), line_of(CENTRES), -10.0, 90.0)


def test_rows_are_a_multiple_of_sixteen_and_cover_the_arcs(image: StraightImage) -> None:
    assert image.pixels.shape == (GEOMETRY.slices, 112, GEOMETRY.size)
    ends = line_of(CENTRES).at(np.array([-10.0, 90.0]))[0]
    np.testing.assert_allclose(image.to_pixels(ends)[:, 1], [0, 100], atol=1e-2)


def test_the_line_runs_through_the_middle_slice_before_the_middle_column(image: StraightImage) -> None:
    line = line_of(CENTRES)
    on_line = image.to_pixels(line.at(np.array([0.0, 40.0]))[0])
    middle = [(GEOMETRY.slices - 1) / 2, (GEOMETRY.size - 1) / 2 - BEHIND_MM / GEOMETRY.pixel_mm]
    np.testing.assert_allclose(on_line[:, [0, 2]], [middle] * 2, atol=1e-3)
    np.testing.assert_allclose(on_line[:, 1], [10, 50], atol=1e-2)  # row 0 is 10 mm before the line's start


def test_points_go_to_the_patient_and_back(image: StraightImage) -> None:
    points = np.array([[0.0, 3.0, 5.0], [4.2, 50.7, 40.0], [8.0, 100.0, 100.0]])
    np.testing.assert_allclose(image.to_pixels(image.to_mm(points)), points, atol=1e-6)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_pixels_show_the_patient_at_their_own_place(axis: int) -> None:
    direction = np.eye(3)[axis]
    shown = straight_image(ramp(direction), line_of(CENTRES), 0.0, 60.0)
    place = shown.to_mm(np.array([4.0, 30.0, 45.0]))
    assert shown.pixels[4, 30, 45] == pytest.approx(4 * (place - CENTRES[2]) @ direction, abs=2.5)


def test_columns_lie_in_the_sagittal_plane_whatever_the_scoliosis(image: StraightImage) -> None:
    np.testing.assert_allclose(image.frames[:, 1, 0], 0, atol=1e-12)
    assert (image.frames[:, 1, 1] < -0.5).all()


def test_outside_the_scan_is_air_and_said_so() -> None:
    beyond = straight_image(ramp(np.array([1.0, 0, 0])), line_of(CENTRES), -200.0, -150.0)
    assert not beyond.inside.any()
    assert (beyond.pixels == AIR_HU).all()


def test_an_end_before_the_start_is_refused() -> None:
    with pytest.raises(ValueError, match="before it starts"):
        straight_image(ramp(np.array([1.0, 0, 0])), line_of(CENTRES), 10.0, 5.0)


def test_a_flat_look_keeps_lengths_in_space() -> None:
    centre, down, left = np.array([3.0, -8.0, 20.0]), np.array([0.1, 0.4, -2.0]), np.array([-1.0, 0.2, 0.3])
    geometry = GEOMETRY.model_copy(update={"size": 64, "pixel_mm": 0.75, "slices": 7, "slice_spacing_mm": 4.0})
    frames = body_frames(centre, down, left, geometry)
    points = np.array([[3.0, 31.5, 31.5], [3.0, 51.5, 31.5], [3.0, 31.5, 51.5], [4.0, 31.5, 31.5]])
    mm = crop_to_mm(points, frames, (7, 64, 64), 0.75, 4.0)
    np.testing.assert_allclose(mm[0], centre, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(mm[1:] - centre, axis=1), [15, 15, 4], atol=1e-12)
    assert (mm[1] - centre) @ down == pytest.approx(15 * np.linalg.norm(down))
    assert (mm[2] - centre)[1] < 0  # to the back
    assert (mm[3] - centre)[0] < 0  # to the left
