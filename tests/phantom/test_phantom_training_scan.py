"""What the localizer's networks learn from: any scan, with all its bodies named, drawn again from its number."""

import numpy as np
import pandas as pd
import pytest

from vertegrade.ct.volume import Volume, mm_to_voxel
from vertegrade.phantom.anatomy.patient import draw_patient
from vertegrade.phantom.training_scan import cohort_scan, learning_scan, thick_shelled, training_scan
from vertegrade.settings.phantom import PhantomSettings
from vertegrade.tables import PHANTOM_TRUTH


@pytest.fixture(scope="module")
def scans() -> list[tuple[Volume, pd.DataFrame]]:
    return [training_scan(5, number) for number in range(6)]


def centres(truth: pd.DataFrame) -> np.ndarray:
    return truth[["centre_x_mm", "centre_y_mm", "centre_z_mm"]].to_numpy()


def test_the_table_has_the_columns_of_the_truth(scans):
    assert all(list(truth.columns) == list(PHANTOM_TRUTH.columns) for _, truth in scans)


def test_bodies_lie_in_the_volume_from_the_head_down(scans):
    for volume, truth in scans:
        places = mm_to_voxel(volume.affine, centres(truth))
        assert np.all((places > -1) & (places < volume.hu.shape))
        assert np.all(np.diff(centres(truth)[:, 2]) < 0)


def test_neck_and_sacrum_have_rows_too(scans):
    labels = {label for _, truth in scans for label in truth["vertebra"]}
    assert {7, 8, 24, 26} <= labels
    assert 0 not in labels


def test_bodies_are_bone_between_softer_tissue(scans):
    brighter = []
    for volume, truth in scans:
        i, j, k = np.rint(mm_to_voxel(volume.affine, centres(truth[truth["complete"]]))).astype(int).T
        around = volume.hu[i, np.minimum(j + round(30 / volume.spacing_mm[1]), volume.hu.shape[1] - 1), k]
        brighter.append(volume.hu[i, j, k].mean() > around.mean())
    assert np.mean(brighter) > 0.7


def test_coverage_spacing_and_field_vary(scans):
    assert len({tuple(truth["vertebra"]) for _, truth in scans}) >= 5
    assert np.ptp([volume.spacing_mm[2] for volume, _ in scans]) > 1
    assert np.ptp([volume.spacing_mm[0] * volume.hu.shape[0] for volume, _ in scans]) > 100


def test_a_scan_follows_from_its_number_alone(scans):
    volume, truth = training_scan(5, 3)
    np.testing.assert_array_equal(volume.hu, scans[3][0].hu)
    pd.testing.assert_frame_equal(truth, scans[3][1])
    assert volume.hu.dtype == np.int16


def test_half_of_what_is_learnt_from_is_scanned_as_the_cohort_is():
    volume, truth = learning_scan(5, 4)
    expected, bodies = cohort_scan(5, 4)
    np.testing.assert_array_equal(volume.hu, expected.hu)
    pd.testing.assert_frame_equal(truth, bodies)


def test_a_thick_shell_moves_no_surface():
    plain, truth = cohort_scan(5, 2)
    thick, same = cohort_scan(5, 2, shell=3.0)
    pd.testing.assert_frame_equal(truth, same)
    assert (plain.hu != thick.hu).any()
    patient = draw_patient("ph0001", PhantomSettings(), 1)
    for before, after in zip(patient.vertebrae, thick_shelled(patient, 3.0).vertebrae, strict=True):
        assert after.material.cortex_mm == 3 * before.material.cortex_mm
        assert after.body is before.body
