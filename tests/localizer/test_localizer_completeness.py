"""Whether a body lies completely in the scan: edges, padding and fillings, but not true air."""

import numpy as np
import pytest

from vertegrade.ct.volume import Volume
from vertegrade.localizer.completeness import complete_probability

BODY = np.array([[y, z] for y in (15.0, 0.0, -15.0) for z in (12.0, -12.0)])


def test_a_body_at_the_scan_s_edge_is_hardly_whole() -> None:
    volume = Volume(np.zeros((40, 40, 40), np.int16), np.diag([2.0, 2.0, 2.0, 1.0]))
    points, sd = np.column_stack([np.zeros(6), BODY]) + 40.0, np.full(6, 0.7)
    assert complete_probability(volume, points, sd) > 0.99
    assert complete_probability(volume, points - [0, 0, 29], sd) < 0.3
    assert complete_probability(volume, points - [0, 0, 40], sd) < 0.01


def test_a_body_that_ends_in_padding_is_not_whole() -> None:
    hu = np.zeros((40, 40, 40), np.int16)
    hu[:, :, 26:] = -1024  # from 51 mm upwards; the endplate is at 52 mm
    points = np.column_stack([np.zeros(6), BODY]) + 40.0
    assert complete_probability(Volume(hu, np.diag([2.0, 2.0, 2.0, 1.0])), points, np.full(6, 0.7)) == 0


@pytest.mark.parametrize(("spacing", "room", "whole"), [(1.0, 2.1, True), (1.0, 1.1, False), (5.0, 4.0, False)])
def test_a_point_nearer_to_the_edge_than_its_error_and_a_slice_is_of_no_whole_body(  # field test A8
    spacing: float, room: float, whole: bool
) -> None:
    volume = Volume(np.zeros((60, 60, round(60 / spacing)), np.int16), np.diag([1.0, 1.0, spacing, 1.0]))
    edge = (volume.hu.shape[2] - 0.5) * spacing
    points = np.column_stack([np.zeros(6), BODY]) + np.array([30, 30, edge - 12 - room])
    assert (complete_probability(volume, points, np.full(6, 0.7)) >= 0.5) == whole


@pytest.mark.parametrize("cut", [np.s_[:, :, 45:], np.s_[:, :, :16], np.s_[:, 46:], np.s_[:, :14]])
@pytest.mark.parametrize("spacing", [1.0, 4.0])
def test_a_body_that_ends_in_a_filling_on_any_side_is_not_whole(cut, spacing: float) -> None:  # field test A8
    hu = np.full((60, 60, 60), 40, np.int16)
    hu[cut] = -1024
    volume = Volume(np.ascontiguousarray(hu[:, :, :: int(spacing)]), np.diag([1.0, 1.0, spacing, 1.0]))
    points = np.column_stack([np.zeros(6), BODY * [1, 1.1]]) + 30.0  # y 15 to 45, z 16.8 to 43.2
    assert complete_probability(volume, points, np.full(6, 0.7)) == 0


def test_air_in_front_of_a_body_is_no_filling() -> None:
    hu = np.full((60, 60, 60), 40, np.int16)
    hu[:, 46:] = np.random.default_rng(0).normal(-1000, 30, hu[:, 46:].shape)
    points = np.column_stack([np.zeros(6), BODY]) + 30.0
    assert complete_probability(Volume(hu, np.diag([1.0, 1.0, 1.0, 1.0])), points, np.full(6, 0.7)) > 0.9
