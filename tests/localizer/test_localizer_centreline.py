"""From the network's maps to the spine's line: positions, limits, gaps, outliers, and scans without a spine."""

from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vertegrade.ct.volume import Volume
from vertegrade.localizer.centreline.find import best_path, find_centreline
from vertegrade.localizer.centreline.low_resolution import GRID_MM, low_resolution
from vertegrade.localizer.centreline.network import cell_centres_mm
from vertegrade.localizer.centreline.spine_line import SpineLine, through_bodies
from vertegrade.reasons import Refused
from vertegrade.spine.centreline import fit_centreline

# 160 x 160 x 240 mm; the grid's first voxel lies half a voxel inside the scan's corner.
ORIGIN = np.array([-80.0, -50.0, 300.0])
SCAN = Volume(
    np.zeros((80, 80, 120), np.int16),
    np.block([[np.diag([2.0] * 3), ORIGIN[:, None]], [np.zeros((1, 3)), np.ones((1, 1))]]),
)


def spine_mm(z: np.ndarray) -> np.ndarray:
    """The true line at heights (RAS mm): (n, 3)."""
    return np.column_stack([5 * np.sin((z - 300) / 60), 20 + 15 * np.cos((z - 300) / 80), z])


class Oracle(nn.Module):
    """A network that knows the line; `bright` also shines at (x, y) = (-70, 60) in these slices of cells."""

    def __init__(self, shown: tuple[tuple[float, float], ...], bright: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.shown, self.bright = shown, bright

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        shape = [n // 2 for n in image.shape[2:]]
        first = low_resolution(SCAN).origin_mm
        x, y, z = (torch.from_numpy(cell_centres_mm(n) + first[axis]) for axis, n in enumerate(shape))
        line = torch.from_numpy(spine_mm(z.numpy()))
        offset = torch.stack(
            torch.broadcast_tensors(line[:, 0] - x[:, None, None], line[:, 1] - y[None, :, None]), dim=0
        )
        heat = -offset.square().sum(0) / (2 * 7.0**2)
        aside = -((x + 70).square()[:, None] + (y - 60).square()) / (2 * 7.0**2) + 3
        for k in self.bright:
            heat[:, :, k] = torch.maximum(heat[:, :, k], aside)
        exists = torch.zeros(len(z), dtype=torch.float64)
        for low, high in self.shown:
            exists += (z > low) & (z < high)
        return heat[None], offset[None], (exists * 12 - 6)[None]


def off_mm(found: np.ndarray) -> float:
    return float(np.linalg.norm(found - spine_mm(found[:, 2]), axis=1).max())


def test_the_line_runs_through_the_bodies() -> None:
    spine = find_centreline(SCAN, Oracle(((0, 999),)), "cpu")
    assert off_mm(spine.line.at(np.linspace(spine.start_arc_mm + 8, spine.end_arc_mm - 8, 50))[0]) < 0.5


def test_the_line_runs_from_head_to_feet() -> None:
    spine = find_centreline(SCAN, Oracle(((0, 999),)), "cpu")
    start, end = spine.line.at(np.array([spine.start_arc_mm, spine.end_arc_mm]))[0]
    assert start[2] == pytest.approx(538, abs=GRID_MM)
    assert end[2] == pytest.approx(300, abs=GRID_MM)


def test_the_extent_ends_where_the_spine_ends() -> None:
    spine = find_centreline(SCAN, Oracle(((360, 480),)), "cpu")
    start, end = spine.line.at(np.array([spine.start_arc_mm, spine.end_arc_mm]))[0]
    assert start[2] == pytest.approx(480, abs=5)
    assert end[2] == pytest.approx(360, abs=5)


def test_something_brighter_in_a_few_slices_does_not_draw_the_line_aside() -> None:
    spine = find_centreline(SCAN, Oracle(((0, 999),), bright=(10, 11)), "cpu")
    assert off_mm(spine.line.at(np.linspace(spine.start_arc_mm + 8, spine.end_arc_mm - 8, 50))[0]) < 1.0


def test_a_short_gap_is_bridged() -> None:
    spine = find_centreline(SCAN, Oracle(((0, 400), (440, 999))), "cpu")
    assert off_mm(spine.line.at(np.linspace(spine.start_arc_mm + 8, spine.end_arc_mm - 8, 50))[0]) < 2.0
    assert spine.end_arc_mm - spine.start_arc_mm > 230


def test_of_two_spines_far_apart_the_longer_one_counts() -> None:
    spine = find_centreline(SCAN, Oracle(((0, 340), (420, 999))), "cpu")
    assert spine.line.at(np.array(spine.end_arc_mm))[0][2] > 410


@pytest.mark.parametrize("shown", [(), ((350, 370),)])
def test_a_scan_without_a_spine_is_refused(shown: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(Refused) as refused:
        find_centreline(SCAN, Oracle(shown), "cpu")
    assert refused.value.reason == "no_spine"


def test_the_path_is_the_best_of_all_paths() -> None:
    scores = np.random.default_rng(0).normal(size=(3, 4, 4))

    def allowed(path: tuple[tuple[int, int], ...]) -> bool:
        return bool((np.abs(np.diff(path, axis=0)) <= 1).all())

    cells = list(product(range(3), range(4)))
    best = max(
        filter(allowed, product(cells, repeat=4)),
        key=lambda path: sum(scores[(*cell, z)] for z, cell in enumerate(path)),
    )
    assert best_path(scores).tolist() == [list(cell) for cell in best]


def test_the_grid_keeps_places_in_an_oblique_uneven_scan() -> None:
    turn = np.array([[0.995, -0.0998, 0], [0.0998, 0.995, 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turn * [0.8, 0.8, 2.5], [-30, 20, -400]
    i, j, k = np.meshgrid(*[np.arange(n) for n in (90, 100, 40)], indexing="ij")
    world = np.stack([i, j, k], axis=-1) @ affine[:3, :3].T + affine[:3, 3]
    hu = (3 * world[..., 0] - 2 * world[..., 1] + world[..., 2]).round().astype(np.int16)
    small = low_resolution(Volume(hu, affine))
    grid = np.stack(np.meshgrid(*[np.arange(n) * GRID_MM for n in small.hu.shape], indexing="ij"), -1) + small.origin_mm
    expected = 3 * grid[..., 0] - 2 * grid[..., 1] + grid[..., 2]
    inner = (slice(4, -4), slice(4, -4), slice(2, -2))
    assert np.abs(small.hu - expected)[inner].max() < 3


def test_the_corrected_line_runs_through_the_bodies_and_stays_aside_beyond_them() -> None:
    line = fit_centreline(np.array([[0.0, 0.0, 0.0], [0.0, 0.0, -300.0]]), 0.0)
    centres = np.array([[6.0, -3.0, -z] for z in range(60, 241, 30)], dtype=float)
    corrected = through_bodies(SpineLine(line, 0.0, 300.0), centres)
    assert np.allclose(corrected.line.at(corrected.line.nearest(centres))[0], centres, atol=0.1)
    assert np.allclose(corrected.line.at(np.array([0.0]))[0], [[6, -3, 0]], atol=0.5)
    assert corrected.line.arcs[-1] == pytest.approx(300, abs=5)
