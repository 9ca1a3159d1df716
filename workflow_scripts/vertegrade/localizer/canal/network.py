"""The network that finds the spinal canal in an axial slice: where it is, and whether it is there at all.

As Chettrit et al. 2020 find the cord, but the canal: it goes on where the cord ends (L1-L2). The network gives each
cell of a slice a number, and one more number stands for "nowhere", so that position and presence are one probability.
"""

import torch
from monai.networks.nets import UNet
from torch import Tensor, nn
from torch.nn import functional

from vertegrade.localizer.centreline.network import windowed

KIND = "vertegrade-canal-1"
PIXEL_MM, STEP_MM = 2.0, 4.0  # of a slice's pixels, and between slices, each of which is a mean over so much
CELL_MM = 2 * PIXEL_MM
MULTIPLE = 16  # pixels: cells of two, halved three times
READ_CELLS = 2  # the position is read from the cells up to this far from the best one


class CanalNetwork(nn.Module):
    """MONAI's residual U-Net in 2D on cells of 4 mm (2 x 2 pixels as channels).

    Call: slices (B, 1, X, Y), windowed, X and Y multiples of MULTIPLE -> heat (B, X', Y') logits of the canal's cell
    against "nowhere", whose logit is 0; offset (B, 2, X', Y'), mm from the cell's middle to the canal's.
    """

    def __init__(self) -> None:
        super().__init__()
        self.unet = UNet(2, 4, 3, channels=(16, 24, 32, 48), strides=(2, 2, 2), num_res_units=1, norm="BATCH")

    def forward(self, slices: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        maps = self.unet(functional.pixel_unshuffle(slices, 2)).float()
        return maps[:, 0], maps[:, 1:] * CELL_MM


def seen(hu: Tensor) -> Tensor:
    """Slices (B, X, Y) in HU as the network takes them: windowed, filled up with air to multiples of MULTIPLE."""
    padding = [length for n in hu.shape[:0:-1] for length in (0, -n % MULTIPLE)]
    return functional.pad(windowed(hu), padding, value=-1.0)[:, None]


def probabilities(heat: Tensor) -> Tensor:
    """P(the canal is in this cell) of each cell (B, X', Y'); what is missing to 1 is P(no canal in this slice)."""
    flat = heat.flatten(1)
    nowhere = torch.zeros_like(flat[:, :1])
    return torch.cat([flat, nowhere], dim=1).softmax(dim=1)[:, :-1].view_as(heat)


def cell_middles(count: int) -> Tensor:
    """mm from the first pixel to the middles of `count` cells along an axis, float64 (count,)."""
    return torch.arange(count, dtype=torch.float64) * CELL_MM + PIXEL_MM / 2
