"""Finding candidates for vertebrae: shape of the maps, the loss and the peaks."""

import numpy as np
import pytest
import torch

from vertegrade.ct.volume import Volume
from vertegrade.localizer.centreline.spine_line import SpineLine
from vertegrade.localizer.detector import network as maps_of
from vertegrade.localizer.detector.find import find_candidates, find_peaks
from vertegrade.localizer.detector.loss import maps_loss
from vertegrade.localizer.detector.network import (
    HEAT,
    NETWORK_LEVELS,
    OUTPUTS,
    POINT,
    SCALE_MM,
    SCORES,
    DetectorNetwork,
)
from vertegrade.localizer.detector.samples import COLUMN, KEYPOINTS, KNOWN, LEVEL, MOST, PRESENT, ROW, WIDTH
from vertegrade.localizer.networks import VertebraNetwork
from vertegrade.spine.centreline import fit_centreline


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


def test_a_scan_of_nothing_has_no_vertebra_and_the_level_scores_name_all_levels() -> None:
    torch.manual_seed(0)
    volume = Volume(np.full((30, 30, 60), -1000, np.int16), np.diag([3.0, 3.0, 3.0, 1.0]))
    line = fit_centreline(np.array([[45.0, 45.0, 150.0], [45.0, 45.0, 30.0]]), 0.0)
    found = find_candidates(volume, SpineLine(line, 0.0, 120.0), DetectorNetwork().eval(), "cpu", 0.05)
    assert found.points_mm.shape == (0, 6, 3)
    assert found.level_log_p.shape == (0, len(NETWORK_LEVELS))
    assert SCORES.stop - SCORES.start == len(NETWORK_LEVELS) == 25
