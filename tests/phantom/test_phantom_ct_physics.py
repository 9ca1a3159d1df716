"""CT physics of the phantom: point spread, slice profile, noise, calibration, metal."""

import numpy as np
import pytest

from helpers.phantom_protocols import SHARP, SOFT, protocol, water
from vertegrade.phantom.scanner.metal import METAL_HU, MetalPart
from vertegrade.phantom.scanner.physics import acquire, modulation, point_spread_sigma_mm, slice_profile
from vertegrade.phantom.scanner.protocol import Protocol
from vertegrade.phantom.scanner.vendors import SCANNERS


def scan(anatomy: np.ndarray, plan: Protocol, seed: int = 0) -> np.ndarray:
    return acquire(anatomy, plan, np.random.default_rng(seed)).astype(float)


def width_of_point(kernel) -> float:
    """Second moment (mm) along i of a bright line along k."""
    plan = protocol(kernel=kernel)
    anatomy = water(plan)
    anatomy[12, 12] = 3000
    profile = scan(anatomy, plan)[:, :, 2].sum(axis=1).clip(0)
    offset = (np.arange(24) - 12) * plan.pixel_mm
    return float(np.sqrt((profile * offset**2).sum() / profile.sum()))


def test_soft_kernel_spreads_a_point_as_its_sigma_says():
    assert width_of_point(SOFT) == pytest.approx(point_spread_sigma_mm(SOFT), abs=0.05)


def test_sharp_kernel_spreads_a_point_less():
    assert width_of_point(SHARP) < 0.75 * width_of_point(SOFT)


def test_sharp_kernel_overshoots_at_an_edge_and_soft_does_not():
    peaks = []
    for kernel in (SHARP, SOFT):
        plan = protocol(kernel=kernel)
        anatomy = water(plan)
        anatomy[12:] = 500
        peaks.append(scan(anatomy, plan)[:, 12, 2].max())
    assert peaks[0] > 530
    assert peaks[1] <= 501


def test_kernels_keep_the_hu_of_large_areas():
    assert modulation(np.zeros(1), SHARP) == pytest.approx(1)


def test_one_side_of_the_field_does_not_bleed_into_the_other():
    plan = protocol(kernel=SOFT)
    anatomy = water(plan)
    anatomy[0] = 3000
    assert abs(scan(anatomy, plan)[-1]).max() <= 1


def test_thick_slices_blur_along_z():
    rises = []
    for thickness in (1.2, 3.6):
        plan = protocol(shape=(24, 24, 15), slice_thickness_mm=thickness)
        anatomy = water(plan)
        anatomy[:, :, plan.fine_shape[2] // 2 :] = 1000
        edge = scan(anatomy, plan)[12, 12]
        rises.append(np.sum((edge > 100) & (edge < 900)))
    assert rises[1] >= rises[0] + 2


def test_slice_profile_is_as_wide_as_the_slice_and_centred():
    plan = protocol(shape=(24, 24, 9), slice_spacing_mm=3.0, slice_thickness_mm=3.0, fine_step_mm=1.0)
    weights = slice_profile(plan)
    at = (np.arange(plan.fine_shape[2]) - plan.fine_margin) * plan.fine_spacing_mm[2]
    centres = weights @ at
    np.testing.assert_allclose(centres, 3.0 * np.arange(9), atol=0.03)
    middle = weights[4] > weights[4].max() / 2
    assert np.sum(middle) == 3  # of 1 mm each


@pytest.mark.parametrize("kernel", [SOFT, SHARP])
@pytest.mark.parametrize("requested", [15.0, 60.0])
def test_noise_has_the_requested_standard_deviation(kernel, requested):
    plan = protocol(shape=(96, 80, 12), noise_sd_hu=requested, kernel=kernel)
    assert scan(water(plan), plan).std() == pytest.approx(requested, rel=0.06)


def test_noise_of_a_sharp_kernel_is_finer():
    correlations = []
    for kernel in (SOFT, SHARP):
        plan = protocol(shape=(96, 96, 6), noise_sd_hu=40.0, kernel=kernel)
        image = scan(water(plan), plan)
        correlations.append(np.corrcoef(image[1:].ravel(), image[:-1].ravel())[0, 1])
    assert correlations[0] > correlations[1] + 0.2


def test_noise_falls_off_towards_low_frequencies_as_back_projection_makes_it():
    plan = protocol(shape=(96, 96, 12), noise_sd_hu=40.0, kernel=SHARP, pixel_mm=0.7)
    image = scan(water(plan), plan)
    blocks = image.reshape(12, 8, 12, 8, 12).mean(axis=(1, 3))
    assert blocks.std() < 0.7 * image.std() / 8  # white noise would average to a share of 1 / 8


def test_overlapping_slices_share_noise():
    correlations = []
    for spacing in (0.6, 2.4):
        plan = protocol(shape=(64, 64, 20), noise_sd_hu=40.0, slice_spacing_mm=spacing, slice_thickness_mm=1.2)
        image = scan(water(plan), plan)
        correlations.append(np.corrcoef(image[..., 1:].ravel(), image[..., :-1].ravel())[0, 1])
    assert correlations[0] > 0.6
    assert abs(correlations[1]) < 0.1


def test_calibration_error_changes_scale_and_offset():
    plan = protocol(hu_offset=7.0, hu_slope=1.02)
    anatomy = water(plan) + 500
    assert np.all(scan(anatomy, plan) == 517)


@pytest.mark.parametrize("scanner", SCANNERS, ids=lambda s: s.model)
def test_hu_stay_within_what_the_scanner_delivers(scanner):
    plan = protocol(scanner=scanner)
    anatomy = water(plan)
    anatomy[:12], anatomy[12:] = -3000, 9000
    image = scan(anatomy, plan)
    assert (image.min(), image.max()) == (scanner.lowest_hu, 3071)


def test_metal_is_bright_and_throws_dark_and_bright_streaks_in_its_slices_only():
    plan = protocol(shape=(96, 96, 12), slice_thickness_mm=1.2)
    x, y, z = plan.origin_mm
    ahead, height = y + 30.0, z + 6.0
    screws = tuple(MetalPart((x + a, ahead, height), (x + a, ahead + 25, height), 2.8, METAL_HU) for a in (30.0, 55.0))
    image = scan(water(plan), protocol(shape=(96, 96, 12), slice_thickness_mm=1.2, metal=screws))
    assert image[33, 47, 5] == 3071
    assert image[33, 66:90, 5].mean() < -50  # behind the screw, along its axis
    assert image[60:, :, 5].max() > 50
    assert image[:, :, 5].std() > 20 * image[:, :, 11].std()


def test_the_same_generator_gives_the_same_scan():
    plan = protocol(noise_sd_hu=30.0)
    np.testing.assert_array_equal(scan(water(plan), plan, seed=3), scan(water(plan), plan, seed=3))
    assert np.any(scan(water(plan), plan, seed=3) != scan(water(plan), plan, seed=4))


def test_anatomy_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"ph0001-1: drawn on \(3, 3, 3\)"):
        acquire(np.zeros((3, 3, 3), np.float32), protocol(), np.random.default_rng(0))
