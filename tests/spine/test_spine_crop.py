"""Crops: the right place, the right HU, and no invented tissue."""

import numpy as np
import pytest
from pydantic import ValidationError

from helpers.ramps import OBLIQUE, SETTINGS, ramp, table_of
from helpers.spines import normal_spine
from vertegrade.ct.volume import Volume, mm_to_voxel
from vertegrade.settings.spine import CropSettings
from vertegrade.spine.crop import crop_scan
from vertegrade.spine.straighten import crop_to_mm
from vertegrade.tables import CROPS, check_table

GRID = np.stack(np.meshgrid(range(5), range(64), range(64), indexing="ij"), axis=-1)


def test_every_pixel_is_the_scan_s_value_at_its_place() -> None:
    centres = normal_spine(scoliosis=20.0)[5:10]
    volume = ramp((180, 280, 400), OBLIQUE)
    pixels, frames, _ = crop_scan(volume, table_of(centres, 13), SETTINGS, 1.5)
    for crop, frame in zip(pixels, frames, strict=True):
        voxels = mm_to_voxel(OBLIQUE, crop_to_mm(GRID, frame, (5, 64, 64), 1.0, 4.0))
        np.testing.assert_allclose(crop, voxels @ [5, -4, 3], atol=0.51)


def test_crops_keep_what_is_doubtful_of_their_vertebra() -> None:  # field test A11
    centres = normal_spine()[5:8]
    doubtful = table_of(centres, 13, {14: "cut"}).iloc[[2, 0, 1]]
    doubtful = doubtful.assign(label_confidence=[0.3, 0.1, 0.2], flags=["lossy metal", "lossy", ""])
    crops = crop_scan(ramp((180, 280, 400), OBLIQUE), doubtful, SETTINGS, 1.5)[2]
    assert crops["vertebra"].tolist() == [13, 14, 15]
    assert crops["label_confidence"].tolist() == [0.1, 0.2, 0.3]
    assert crops["flags"].tolist() == ["lossy", "", "lossy metal"]


def test_the_table_keeps_its_contract_and_counts_crops_from_zero() -> None:
    volume = ramp((180, 280, 400), OBLIQUE)
    pixels, frames, crops = crop_scan(volume, table_of(normal_spine()[5:10], 13), SETTINGS, 1.5)
    assert pixels.shape == (5, 5, 64, 64)
    assert pixels.dtype == np.int16
    assert frames.shape == (5, 64, 3, 3)
    check_table(crops, CROPS, "test")
    assert crops["crop"].tolist() == [0, 1, 2, 3, 4]
    assert crops["evaluable"].all()
    assert (crops["inside_fraction"] == 1).all()
    assert (crops["slice_thickness_mm"] == 1.5).all()


def test_a_curved_spine_is_straight_in_its_crops() -> None:
    # A tube along the centreline: in every row of every crop it must lie in the middle column.
    centres = normal_spine(kyphosis=60.0)[4:12]
    shape = (60, 220, 330)
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[:3, 3] = [-30, *(centres.min(axis=0)[1:] - 60)]
    _, frames, _ = crop_scan(ramp(shape, affine), table_of(centres), SETTINGS, 1.0)
    path = np.concatenate([frame[:, 0] for frame in frames])
    y, z = affine[1, 3] + np.arange(shape[1]), affine[2, 3] + np.arange(shape[2])
    middle = np.interp(z, path[np.argsort(path[:, 2]), 2], path[np.argsort(path[:, 2]), 1])
    tube = np.where(np.abs(y[:, None] - middle) < 6, 1000, 0).astype(np.int16)
    pixels, _, _ = crop_scan(Volume(np.broadcast_to(tube, shape).copy(), affine), table_of(centres), SETTINGS, 1.0)
    weight = pixels[:, 2].astype(float)
    column = (weight * np.arange(64)).sum(axis=-1) / weight.sum(axis=-1)
    assert np.abs(column - 31.5).max() < 1.0


def box(shape: tuple[int, int, int] = (60, 80, 120)) -> Volume:
    """A volume of 300 HU at 1 mm whose middle is the origin."""
    affine = np.eye(4)
    affine[:3, 3] = -(np.array(shape) - 1) / 2
    return Volume(np.full(shape, 300, np.int16), affine)


def upright(*z: float) -> np.ndarray:
    return np.array([[0.0, 0.0, value] for value in z])


def test_outside_the_scan_is_air_and_counted() -> None:
    pixels, _, crops = crop_scan(box(), table_of(upright(35, 5, -40)), SETTINGS, 1.0)
    assert set(np.unique(pixels)) == {-1024, 300}
    np.testing.assert_allclose(crops["inside_fraction"], (pixels == 300).mean(axis=(1, 2, 3)))
    assert (pixels[0, :, 0] == -1024).all()  # above the scan: the first rows
    assert (pixels[2, :, -1] == -1024).all()  # below it: the last


def test_an_end_vertebra_is_evaluable_while_its_core_is_in_the_scan() -> None:
    _, _, crops = crop_scan(box(), table_of(upright(42.0, 5.0, -44.0)), SETTINGS, 1.0)
    assert crops["reason"].tolist() == ["", "", "outside_scan"]
    assert crops["evaluable"].tolist() == [True, True, False]
    assert crops["inside_fraction"].between(0.7, 0.9).tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("z", "reason"),
    [
        ((48.0, 28.0, 8.0), ""),  # small vertebrae, 20 mm apart: 10 mm up to the middle of the disc are enough
        ((48.0, 14.0, -20.0), "outside_scan"),  # large ones, 34 mm apart
        ((48.0,), "outside_scan"),  # nothing known of its size: the whole core
    ],
)
def test_the_core_is_as_high_as_the_vertebrae_are_apart(z: tuple[float, ...], reason: str) -> None:
    _, _, crops = crop_scan(box(), table_of(upright(*z)), SETTINGS, 1.0)
    assert crops["reason"][0] == reason


def test_a_crushed_neighbour_does_not_shrink_the_core() -> None:
    # 14.5 mm from the middle one to the edge of the scan: enough for a neighbour 12 mm away, not for one 34 mm away.
    _, _, crops = crop_scan(box(), table_of(upright(57.0, 45.0, 11.0)), SETTINGS, 1.0)
    assert crops["reason"].tolist() == ["outside_scan", "outside_scan", ""]


def test_a_centre_near_the_front_of_the_scan_is_not_evaluable() -> None:
    centres = upright(20, -10) + np.array([0.0, 30.0, 0.0])
    _, _, crops = crop_scan(box(), table_of(centres), SETTINGS, 1.0)
    assert crops["reason"].tolist() == ["outside_scan"] * 2


def test_reasons_of_the_landmarks_stay_and_ungraded_levels_get_no_crop() -> None:
    landmarks = table_of(upright(40, 15, -10, -35), 7, {7: "not_graded", 9: "implausible_spacing"})
    pixels, _, crops = crop_scan(box(), landmarks, SETTINGS, 1.0)
    assert crops["vertebra"].tolist() == [8, 9, 10]
    assert crops["reason"].tolist() == ["", "implausible_spacing", ""]
    assert len(pixels) == 3


def test_an_unsound_centre_does_not_bend_the_crops_of_others_but_an_ungraded_one_does() -> None:
    straight = upright(40, 15, -10, -35)
    moved = straight.copy()
    moved[0, 1] += 15.0
    frames = {
        reason: crop_scan(box(), table_of(moved, 7, {7: reason}), SETTINGS, 1.0)[1][-3:]
        for reason in ("implausible_spacing", "not_graded")
    }
    _, alone, _ = crop_scan(box(), table_of(straight[1:], 8), SETTINGS, 1.0)
    np.testing.assert_allclose(frames["implausible_spacing"], alone, atol=1e-9)
    assert np.abs(frames["not_graded"][0] - alone[0]).max() > 0.1


def test_a_crop_in_a_spine_bent_too_sharply_is_not_evaluable() -> None:
    centres = np.array([[0.0, 30.0, 12.0], [0.0, 0.0, 18.0], [0.0, -20.0, 0.0], [0.0, 0.0, -18.0], [0.0, 30.0, -12.0]])
    settings = CropSettings(pixel_mm=1.0, smoothing_mm=0.0)
    _, _, crops = crop_scan(box((60, 160, 160)), table_of(centres), settings, 1.0)
    assert crops["reason"][2] == "folded_crop"
    assert not crops["evaluable"][2]


def test_t13_comes_between_t12_and_l1_however_the_table_is_sorted() -> None:
    landmarks = table_of(upright(40, 10, -20, -50), 18)
    landmarks["vertebra"] = [18, 19, 28, 20]
    by_label = landmarks.sort_values("vertebra", ignore_index=True)
    _, _, crops = crop_scan(box(), by_label, SETTINGS, 1.0)
    assert crops["vertebra"].tolist() == [18, 19, 28, 20]
    np.testing.assert_array_equal(
        crop_scan(box(), by_label, SETTINGS, 1.0)[1], crop_scan(box(), landmarks, SETTINGS, 1.0)[1]
    )


def test_a_scan_of_unsound_vertebrae_still_has_a_crop_and_a_reason_for_each() -> None:
    landmarks = table_of(upright(20, 0), 8, {8: "implausible_spacing", 9: "centre_outside_scan"})
    pixels, _, crops = crop_scan(box(), landmarks, SETTINGS, 1.0)
    assert len(pixels) == 2
    assert crops["reason"].tolist() == ["implausible_spacing", "centre_outside_scan"]


def test_a_scan_without_graded_vertebrae_gives_empty_arrays_of_the_right_shape() -> None:
    for landmarks in (table_of(upright(0), 5, {5: "not_graded"}), table_of(np.zeros((0, 3)))):
        pixels, frames, crops = crop_scan(box(), landmarks, SETTINGS, 1.0)
        assert pixels.shape == (0, 5, 64, 64)
        assert frames.shape == (0, 64, 3, 3)
        assert crops.empty


def test_fine_voxels_are_averaged_over_the_pixel_s_cell() -> None:
    noise = np.random.default_rng(0).normal(0, 100, (60, 150, 150)).astype(np.int16)
    affine = np.diag([0.5, 0.5, 0.5, 1.0])
    affine[:3, 3] = [-15, -37, -37]
    pixels, _, _ = crop_scan(Volume(noise, affine), table_of(upright(0)), SETTINGS, 0.5)
    # 4 samples across the slice, 2 x 2 in the pixel, each one already a mean of 8 voxels: far below the noise of one.
    assert pixels[0, 1:4].std() < 25


def test_the_same_scan_gives_the_same_bytes() -> None:
    volume, landmarks = ramp((180, 280, 400), OBLIQUE), table_of(normal_spine()[5:10], 13)
    first, second = (crop_scan(volume, landmarks, SETTINGS, 1.5) for _ in range(2))
    assert first[0].tobytes() == second[0].tobytes()
    assert first[1].tobytes() == second[1].tobytes()


@pytest.mark.parametrize("wrong", [{"slices": 4}, {"core_mm": 65.0}, {"size": 64.0}])
def test_settings_that_contradict_each_other_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        CropSettings(**wrong)


@pytest.mark.parametrize(("cut", "reason"), [(4.0, "outside_scan"), (60.0, "")])
def test_a_core_that_was_filled_in_lies_outside_the_scan(cut: float, reason: str) -> None:  # field test A8
    centres = normal_spine()[5:8]
    volume = ramp((180, 280, 400), OBLIQUE)
    above = mm_to_voxel(OBLIQUE, centres[0] + [0, 0, cut])[2]
    hu = volume.hu + np.random.default_rng(0).normal(0, 9, volume.hu.shape).astype(np.int16)
    hu[:, :, int(above) :] = -1024
    crops = crop_scan(Volume(hu, OBLIQUE), table_of(centres, 13), SETTINGS, 1.5)[2]
    assert crops["reason"].tolist() == [reason, "", ""]


def test_air_of_one_value_far_before_a_body_is_inside_the_scan() -> None:
    centres = normal_spine()[5:8]
    volume = ramp((180, 280, 400), OBLIQUE)
    volume.hu[:, int(mm_to_voxel(OBLIQUE, centres[1] + [0, 14, 0])[1]) :] = -1000
    assert crop_scan(volume, table_of(centres, 13), SETTINGS, 1.5)[2]["evaluable"].all()
