"""Frames of crops, and the way between crop and patient in both directions."""

import numpy as np
import pytest

from helpers.spines import normal_spine
from vertegrade.spine.centreline import fit_centreline
from vertegrade.spine.straighten import crop_frames, crop_to_mm, folds, mm_to_crop

SHAPE, PIXEL, SPACING = (5, 64, 64), 1.0, 4.0
SPINES = {
    "normal": normal_spine(),
    "scoliosis of 40 degrees": normal_spine(scoliosis=40.0),
    "kyphosis of 80 degrees": normal_spine(kyphosis=80.0, lordosis=70.0),
    "both": normal_spine(kyphosis=80.0, lordosis=70.0, scoliosis=40.0),
}


def frames_of(centres: np.ndarray, rows: int = 64) -> np.ndarray:
    return crop_frames(fit_centreline(centres, 100.0), centres, rows, PIXEL)


@pytest.mark.parametrize("name", SPINES)
def test_frames_are_orthonormal_and_right_handed(name: str) -> None:
    frames = frames_of(SPINES[name])
    posterior, left = frames[:, :, 1], frames[:, :, 2]
    np.testing.assert_allclose(np.linalg.norm(posterior, axis=-1), 1, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(left, axis=-1), 1, atol=1e-12)
    np.testing.assert_allclose((posterior * left).sum(axis=-1), 0, atol=1e-12)
    assert (np.cross(posterior, left)[..., 2] < 0).all()


@pytest.mark.parametrize("name", SPINES)
def test_frames_never_flip(name: str) -> None:
    frames = frames_of(SPINES[name])
    assert (frames[:, :, 1, 1] < -0.2).all()  # to the back
    assert (frames[:, :, 2, 0] < -0.2).all()  # to the left
    turn = (frames[:, 1:, 1:] * frames[:, :-1, 1:]).sum(axis=-1)
    assert turn.min() > np.cos(np.radians(3.0))
    middle = frames[:, 31, 1:]
    assert (middle[1:] * middle[:-1]).sum(axis=-1).min() > np.cos(np.radians(30.0))


@pytest.mark.parametrize("name", SPINES)
def test_the_columns_of_the_middle_row_lie_in_the_sagittal_plane(name: str) -> None:
    frames = frames_of(SPINES[name])
    np.testing.assert_allclose((frames[:, 31, 1, 0] + frames[:, 32, 1, 0]) / 2, 0, atol=1e-12)


def test_rows_do_not_twist_against_each_other() -> None:
    frames = frames_of(SPINES["both"])
    change, left = np.diff(frames[:, :, 1], axis=1), frames[:, :-1, 2] + frames[:, 1:, 2]
    twist_degrees = np.degrees(np.abs((change * left).sum(axis=-1) / 2).sum(axis=1))
    assert twist_degrees.max() < 0.05


@pytest.mark.parametrize("rows", [64, 33])
def test_the_centre_of_the_crop_is_the_centre_of_the_vertebra(rows: int) -> None:
    centres = SPINES["both"]
    shape = (5, rows, rows)
    middle = [(n - 1) / 2 for n in shape]
    found = [crop_to_mm(np.array(middle), frames, shape, PIXEL, SPACING) for frames in frames_of(centres, rows)]
    np.testing.assert_allclose(found, centres, atol=1e-9)


def test_crop_axes_run_to_the_left_to_the_feet_and_to_the_back() -> None:
    frames = frames_of(SPINES["normal"])[8]
    middle = np.array([2.0, 31.5, 31.5])
    steps = crop_to_mm(middle + np.eye(3), frames, SHAPE, PIXEL, SPACING) - crop_to_mm(
        middle, frames, SHAPE, PIXEL, SPACING
    )
    assert steps[0, 0] == pytest.approx(-SPACING, abs=0.01)
    assert steps[1, 2] == pytest.approx(-PIXEL, abs=0.1)
    assert steps[2, 1] == pytest.approx(-PIXEL, abs=0.1)


@pytest.mark.parametrize("name", SPINES)
def test_there_and_back_is_the_same_crop_point(name: str) -> None:
    points = np.random.default_rng(0).uniform([0, 0, 0], [4, 63, 63], (500, 3))
    for frames in frames_of(SPINES[name]):
        mm = crop_to_mm(points, frames, SHAPE, PIXEL, SPACING)
        np.testing.assert_allclose(mm_to_crop(mm, frames, SHAPE, PIXEL, SPACING), points, atol=1e-6)


@pytest.mark.parametrize("name", SPINES)
def test_back_and_there_is_the_same_place_to_a_hundredth_of_a_millimetre(name: str) -> None:
    offsets = np.random.default_rng(1).uniform(-22, 22, (500, 3)) * [0.4, 1, 1]
    for centre, frames in zip(SPINES[name], frames_of(SPINES[name]), strict=True):
        mm = centre + offsets
        again = crop_to_mm(mm_to_crop(mm, frames, SHAPE, PIXEL, SPACING), frames, SHAPE, PIXEL, SPACING)
        np.testing.assert_allclose(again, mm, atol=0.01)


def test_points_beyond_the_crop_come_back_too() -> None:
    points = np.array([[2.0, -8.0, 31.5], [2.0, 71.0, 31.5], [2.0, 31.5, -9.0]])
    frames = frames_of(SPINES["normal"])[8]
    mm = crop_to_mm(points, frames, SHAPE, PIXEL, SPACING)
    np.testing.assert_allclose(mm_to_crop(mm, frames, SHAPE, PIXEL, SPACING), points, atol=1e-6)


def bent(radius_mm: float) -> np.ndarray:
    """One crop whose rows turn about a point `radius_mm` in front of its middle column."""
    angle = (np.arange(64) - 31.5) * PIXEL / radius_mm
    frames = np.zeros((1, 64, 3, 3))
    frames[0, :, 1, 1], frames[0, :, 1, 2] = -np.cos(angle), -np.sin(angle)
    frames[0, :, 0] = frames[0, :, 1] * radius_mm
    frames[0, :, 2, 0] = -1
    return frames


def test_crops_bent_more_than_their_depth_fold() -> None:
    assert not folds(bent(40.0), SHAPE, PIXEL, SPACING)[0]
    assert folds(bent(25.0), SHAPE, PIXEL, SPACING)[0]


def test_no_believable_spine_folds() -> None:
    for centres in SPINES.values():
        assert not folds(frames_of(centres), SHAPE, PIXEL, SPACING).any()
