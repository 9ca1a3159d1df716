"""How scans are drawn: coverage, budget, ranges, determinism."""

import numpy as np
import pydantic
import pytest

from vertegrade.phantom.anatomy.patient import draw_patient
from vertegrade.phantom.anatomy.person import Patient
from vertegrade.phantom.scanner.protocol import EXPLICIT_LITTLE_ENDIAN, Protocol, draw_protocol
from vertegrade.settings.acquisition import AcquisitionSettings
from vertegrade.settings.phantom import PhantomSettings


@pytest.fixture(scope="module")
def patients() -> list[Patient]:
    return [draw_patient(f"ph{number:04d}", PhantomSettings(), 7) for number in range(1, 9)]


def draw(patients: list[Patient], count: int = 48, **changes: float) -> list[Protocol]:
    settings = AcquisitionSettings(**changes)
    return [draw_protocol(f"ph-{n}", patients[n % len(patients)], settings, 7) for n in range(count)]


@pytest.mark.parametrize("budget", [2_000_000, 10_000_000])
def test_scans_keep_to_the_voxel_budget(patients, budget):
    scans = draw(patients, max_voxels=budget)
    assert max(np.prod(scan.fine_shape) for scan in scans) <= budget
    assert all(scan.fine_step_mm <= scan.slice_spacing_mm <= scan.slice_thickness_mm for scan in scans)


def test_at_least_five_bodies_lie_whole_in_the_slices(patients):
    for number, scan in enumerate(draw(patients)):
        low = scan.origin_mm[2]
        high = low + (scan.shape[2] - 1) * scan.slice_spacing_mm
        boxes = [patients[number % len(patients)].extent(label, label)[2] for label in scan.levels]
        assert sum(low <= box[0] and box[1] <= high for box in boxes) >= 5


def test_some_scans_cut_a_vertebra_at_their_end(patients):
    scans = draw(patients)
    lowest = [
        patients[n % len(patients)].extent(scan.levels[-1], scan.levels[-1])[2, 0] for n, scan in enumerate(scans)
    ]
    assert 0 < sum(scan.origin_mm[2] > z + 1 for scan, z in zip(scans, lowest, strict=True)) < len(scans)


def test_bodies_lie_inside_the_field_of_view(patients):
    for number, scan in enumerate(draw(patients)):
        box = patients[number % len(patients)].extent(scan.levels[0], scan.levels[-1])[:2]
        field = scan.pixel_mm * scan.shape[0]
        assert np.all(box[:, 0] > np.array(scan.origin_mm[:2]) + 5)
        assert np.all(box[:, 1] < np.array(scan.origin_mm[:2]) + field - 5)


def test_values_lie_within_the_settings(patients):
    for scan in draw(patients):
        assert 0.6 <= scan.slice_thickness_mm <= 3.0
        assert 0.25 < scan.slice_spacing_mm <= scan.slice_thickness_mm
        assert 0.7 <= scan.pixel_mm <= (1.5 if scan.pixel_mm * scan.shape[0] > 300 else 1.1)
        assert 15 <= scan.noise_sd_hu <= 60


def test_a_share_of_scans_shows_the_whole_trunk(patients):
    fields = [scan.pixel_mm * scan.shape[0] for scan in draw(patients, count=100)]
    assert 3 <= sum(field > 329 for field in fields) <= 20
    assert not any(270 < field <= 329 for field in fields)


def test_coverage_varies(patients):
    counts = {len(scan.levels) for scan in draw(patients)}
    assert min(counts) == 5
    assert max(counts) >= 13


def test_the_hardest_settings_are_reached_by_config(patients):
    hardest = {"min_slice_thickness_mm": 3.0, "min_noise_hu": 60.0, "metal_share": 1.0, "compressed_share": 1.0}
    for scan in draw(patients, count=8, **hardest):
        assert (scan.slice_thickness_mm, scan.noise_sd_hu) == (3.0, 60.0)
        assert scan.metal
        assert scan.transfer_syntax != EXPLICIT_LITTLE_ENDIAN


def test_metal_and_compression_are_as_frequent_as_asked(patients):
    scans = draw(patients, count=200, metal_share=0.1, compressed_share=0.3)
    assert 0.04 < np.mean([bool(scan.metal) for scan in scans]) < 0.17
    assert 0.2 < np.mean([scan.transfer_syntax != EXPLICIT_LITTLE_ENDIAN for scan in scans]) < 0.4


def test_a_scan_follows_from_its_id_and_the_seed(patients):
    first, again = (draw_protocol("ph-1", patients[0], AcquisitionSettings(), 7) for _ in range(2))
    assert first == again
    assert first != draw_protocol("ph-1", patients[0], AcquisitionSettings(), 8)
    assert first != draw_protocol("ph-2", patients[0], AcquisitionSettings(), 7)


def test_a_range_upside_down_is_refused():
    with pytest.raises(pydantic.ValidationError, match="min_noise_hu"):
        AcquisitionSettings(min_noise_hu=40.0, max_noise_hu=20.0)
