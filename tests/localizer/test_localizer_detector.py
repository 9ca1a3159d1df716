"""Finding vertebrae: networks' shapes, the loss, peaks, and the way from a look's points to the patient."""

import numpy as np
import pytest
import torch

from vertegrade.ct.volume import Volume
from vertegrade.localizer.detector import network as maps_of
from vertegrade.localizer.detector.find import (
    VertebraNetwork,
    complete_probability,
    corrected_line,
    find_peaks,
    find_vertebrae,
    keep_apart,
    refined,
)
from vertegrade.localizer.detector.network import HEAT, OUTPUTS, POINT, SCALE_MM, SCORES, DetectorNetwork, maps_loss
from vertegrade.localizer.detector.samples import (
    COLUMN,
    KEYPOINTS,
    KNOWN,
    LEVEL,
    MOST,
    NETWORK_LEVELS,
    PRESENT,
    ROW,
    WIDTH,
)
from vertegrade.localizer.refiner.network import RefinerNetwork, refiner_loss
from vertegrade.localizer.refiner.samples import LOOK, body_axes
from vertegrade.spine.centreline import fit_centreline

BODY = np.array([[y, z] for y in (15.0, 0.0, -15.0) for z in (12.0, -12.0)])


def table_with(row: float, column: float, level: int) -> torch.Tensor:
    table = torch.zeros(1, MOST, WIDTH)
    table[0, 0, [PRESENT, KNOWN]] = 1
    table[0, 0, ROW], table[0, 0, COLUMN], table[0, 0, LEVEL] = row, column, level
    table[0, 0, KEYPOINTS:] = torch.tensor([[row - 10, column - 15], [row + 10, column - 15]] * 3).ravel()
    return table


def perfect_maps(table: torch.Tensor) -> torch.Tensor:
    """What a network without error would say of one vertebra in 16 x 24 cells."""
    maps = torch.zeros(1, OUTPUTS, 16, 24)
    maps[:, HEAT] = -9
    rows, columns = (maps_of.cell_centre(torch.arange(n).float()) for n in (16, 24))
    places = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))
    truth = table[0, 0, KEYPOINTS:].reshape(6, 2)
    maps[0, POINT] = ((truth[:, :, None, None] - places) / SCALE_MM).flatten(0, 1)
    maps[0, HEAT, round((table[0, 0, ROW].item() - 1.5) / 4), round((table[0, 0, COLUMN].item() - 1.5) / 4)] = 9
    maps[0, SCORES.start + int(table[0, 0, LEVEL])] = 9
    return maps


def test_maps_have_a_quarter_of_the_image_s_sides() -> None:
    assert DetectorNetwork()(torch.zeros(1, 10, 64, 96)).shape == (1, OUTPUTS, 16, 24)


def test_the_networks_are_small() -> None:
    assert sum(parameter.numel() for parameter in VertebraNetwork().parameters()) < 2.5e6


def test_perfect_maps_cost_almost_nothing() -> None:
    table = table_with(30.0, 40.0, 12)
    assert maps_loss(perfect_maps(table), table) < 0.5


@pytest.mark.parametrize("shift", [{ROW: 12.0}, {LEVEL: 3.0}, {KEYPOINTS: 12.0}])
def test_each_error_costs(shift: dict[int, float]) -> None:
    table = table_with(30.0, 40.0, 12)
    maps = perfect_maps(table)
    wrong = table.clone()
    for column, by in shift.items():
        wrong[0, 0, column] += by
    assert maps_loss(maps, wrong) > maps_loss(maps, table) + 0.2


def test_a_vertebra_without_points_teaches_its_centre_and_level_alone() -> None:
    table = table_with(30.0, 40.0, 12)
    maps = perfect_maps(table)
    table[0, 0, KNOWN] = 0
    elsewhere = table.clone()
    elsewhere[0, 0, KEYPOINTS:] += 50
    assert maps_loss(maps, elsewhere) == maps_loss(maps, table)
    assert torch.isfinite(maps_loss(maps, torch.zeros(1, MOST, WIDTH)))


def test_peaks_are_the_cells_of_the_centres() -> None:
    maps = perfect_maps(table_with(30.0, 40.0, 12))[0]
    assert find_peaks(maps, 0.3).tolist() == [[7, 10]]


def test_of_two_near_detections_the_surer_stays() -> None:
    arcs, confidence = np.array([50.0, 20.0, 24.0, 80.0]), np.array([0.5, 0.6, 0.9, 0.4])
    assert keep_apart(arcs, confidence, 8.0) == [2, 0, 3]


def test_body_axes_point_down_and_to_the_left() -> None:
    points = np.column_stack([np.full(6, 7.0), BODY])
    centre, down, left = body_axes(points)
    np.testing.assert_allclose(centre, [7, 0, 0], atol=1e-12)
    np.testing.assert_allclose(down, [0, 0, -1], atol=1e-12)
    np.testing.assert_allclose(left, [-1, 0, 0], atol=1e-12)


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


class OneAnswer(torch.nn.Module):
    """A refiner that always reads the same points, in mm (lateral, row, column) of its looks."""

    def __init__(self, local: np.ndarray) -> None:
        super().__init__()
        self.local = torch.from_numpy(local).float()

    def forward(self, looks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        found = self.local.expand(len(looks), 6, 3).clone()
        found[len(looks) // 2 :, :, 0] *= -1  # the second half of the looks are mirrored
        return found, torch.zeros(len(looks), 6, 3), torch.zeros(len(looks), 6, 32, 32)


def test_refined_heights_are_measured_in_space() -> None:
    volume = Volume(np.zeros((40, 40, 40), np.int16), np.diag([2.0, 2.0, 2.0, 1.0]))
    tilt = np.radians(35)
    turn = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    coarse = np.column_stack([np.zeros(6), BODY]) @ turn.T + 40.0
    local = np.array([[0, sign * half, column] for column, half in ((-14, 9), (0, 10), (13, 12)) for sign in (-1, 1)])
    points, spread = refined(volume, coarse[None], OneAnswer(local), "cpu")
    heights = np.linalg.norm(points[0, 0::2] - points[0, 1::2], axis=1)
    np.testing.assert_allclose(heights, [18, 20, 24], atol=1e-4)
    np.testing.assert_allclose(points[0, :, 0], 40, atol=1e-4)
    np.testing.assert_allclose(spread, 1.0, atol=1e-6)


def test_a_refiner_that_slips_to_a_neighbour_is_not_followed() -> None:
    volume = Volume(np.zeros((40, 40, 40), np.int16), np.diag([2.0, 2.0, 2.0, 1.0]))
    coarse = np.column_stack([np.zeros(6), BODY])[None] + 40.0
    local = np.array([[0, 25 + sign * 10, column] for column in (-14, 0, 13) for sign in (-1, 1)])
    np.testing.assert_array_equal(refined(volume, coarse, OneAnswer(local), "cpu")[0], coarse)


def test_the_refiner_s_loss_falls_with_better_places() -> None:
    torch.manual_seed(0)
    network = RefinerNetwork().eval()
    looks = torch.randn(2, LOOK.slices, LOOK.size, LOOK.size)
    found = network(looks)[0].detach()
    assert refiner_loss(network, looks, found) < refiner_loss(network, looks, found + 2.0) - 1


def test_a_scan_of_nothing_has_no_vertebra_and_the_level_scores_name_all_levels() -> None:
    torch.manual_seed(0)
    volume = Volume(np.full((30, 30, 60), -1000, np.int16), np.diag([3.0, 3.0, 3.0, 1.0]))
    line = fit_centreline(np.array([[45.0, 45.0, 150.0], [45.0, 45.0, 30.0]]), 0.0)
    assert find_vertebrae(volume, line, 0.0, 120.0, VertebraNetwork().eval(), "cpu") == []
    assert SCORES.stop - SCORES.start == len(NETWORK_LEVELS) == 25


def test_the_corrected_line_runs_through_the_bodies_and_stays_aside_beyond_them() -> None:
    line = fit_centreline(np.array([[0.0, 0.0, 0.0], [0.0, 0.0, -300.0]]), 0.0)
    centres = np.array([[6.0, -3.0, -z] for z in range(60, 241, 30)], dtype=float)
    corrected = corrected_line(line, 0.0, 300.0, centres)
    assert np.allclose(corrected.at(corrected.nearest(centres))[0], centres, atol=0.1)
    assert np.allclose(corrected.at(np.array([0.0]))[0], [[6, -3, 0]], atol=0.5)
    assert corrected.arcs[-1] == pytest.approx(300, abs=5)
