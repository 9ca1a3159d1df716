"""The refiner: how a body lies, the way from a look's points to the patient, and the loss."""

import numpy as np
import torch

from vertegrade.ct.volume import Volume
from vertegrade.localizer.refiner.look import LOOK, body_axes
from vertegrade.localizer.refiner.loss import refiner_loss
from vertegrade.localizer.refiner.network import RefinerNetwork
from vertegrade.localizer.refiner.refine import refined

BODY = np.array([[y, z] for y in (15.0, 0.0, -15.0) for z in (12.0, -12.0)])


def test_body_axes_point_down_and_to_the_left() -> None:
    points = np.column_stack([np.full(6, 7.0), BODY])
    centre, down, left = body_axes(points)
    np.testing.assert_allclose(centre, [7, 0, 0], atol=1e-12)
    np.testing.assert_allclose(down, [0, 0, -1], atol=1e-12)
    np.testing.assert_allclose(left, [-1, 0, 0], atol=1e-12)


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


def test_without_vertebrae_there_are_no_points() -> None:
    volume = Volume(np.zeros((4, 4, 4), np.int16), np.eye(4))
    points, spread = refined(volume, np.zeros((0, 6, 3)), RefinerNetwork().eval(), "cpu")
    assert (points.shape, spread.shape) == ((0, 6, 3), (0, 6))
