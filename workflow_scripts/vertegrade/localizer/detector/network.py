"""The vertebra detector: a small 2D feature pyramid over straightened images, anchor-free."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from vertegrade.localizer.straight_image import GEOMETRY
from vertegrade.tables import POINTS

# Classes of the level scores: VerSe labels C3 to L6, S1 (26) and T13 (28).
NETWORK_LEVELS = (*range(3, 26), 26, 28)
STRIDE = 4
SCALE_MM = 10.0  # regressed lengths are in units of this
# Channels of the output, in order.
HEAT = 0
SIDE = 1  # lateral
POINT = slice(2, 2 + 2 * len(POINTS))
SPREAD = slice(POINT.stop, POINT.stop + 1 + 2 * len(POINTS))  # log scales of side and points
SCORES = slice(SPREAD.stop, SPREAD.stop + len(NETWORK_LEVELS))
OUTPUTS = SCORES.stop
LOW_PRIOR = -3.0  # first logit of the heat map: few cells are centres


class Block(nn.Module):
    """Residual block of two convolutions; `reach` dilates its rows."""

    def __init__(self, channels: int, reach: int = 1) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.first = nn.Conv2d(channels, channels, 3, padding=(reach, 1), dilation=(reach, 1), bias=False)
        self.between = nn.BatchNorm2d(channels)
        self.last = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same."""
        h = self.first(functional.silu(self.norm(x)))
        changed: Tensor = self.last(functional.silu(self.between(h)))
        return x + changed


def halved(channels: int, out: int) -> nn.Module:
    """(B, channels, H, W) -> (B, out, H / 2, W / 2)."""
    return nn.Sequential(nn.BatchNorm2d(channels), nn.SiLU(), nn.Conv2d(channels, out, 3, stride=2, padding=1))


def finished(channels: int, out: int) -> nn.Module:
    """The layers before the outputs: (B, channels, H, W) -> (B, out, H, W)."""
    return nn.Sequential(
        nn.BatchNorm2d(channels),
        nn.SiLU(),
        nn.Conv2d(channels, out, 3, padding=1, bias=False),
        nn.BatchNorm2d(out),
        nn.SiLU(),
    )


class DetectorNetwork(nn.Module):
    """Straightened image (B, S + 1, H, W), H and W multiples of 16, to maps (B, OUTPUTS, H / 4, W / 4).

    Feature pyramid (Lin et al. 2017) with a CenterNet-like head (Zhou et al. 2019, "Objects as points"). Batch
    normalisation: in use nothing depends on how long the image is (layer norm over channels keeps a constant pattern
    that drowns the image, and did not learn). The rows' dilation at 16 mm lets a cell see about 25 cm along the spine
    to either side, which levels need.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(GEOMETRY.slices + 1, 20, 5, stride=2, padding=2), Block(20))
        self.fine = nn.Sequential(halved(20, 40), Block(40), Block(40))
        self.middle = nn.Sequential(halved(40, 72), Block(72), Block(72))
        self.coarse = nn.Sequential(halved(72, 96), *(Block(96, reach) for reach in (1, 2, 4, 8)))
        self.from_coarse = nn.Conv2d(96, 72, 1)
        self.at_middle = Block(72)
        self.from_middle = nn.Conv2d(72, 48, 1)
        self.from_fine = nn.Conv2d(40, 48, 1)
        self.head = nn.Sequential(Block(48), finished(48, 64))
        self.out = nn.Conv2d(64, OUTPUTS, 1)
        nn.init.normal_(self.out.weight, std=0.01)
        bias = torch.zeros(OUTPUTS)
        bias[HEAT] = LOW_PRIOR
        self.out.bias = nn.Parameter(bias)

    def forward(self, image: Tensor) -> Tensor:
        """Image windowed to -1..1 (last channel 0..1) to the maps named at the top of this module."""
        fine = self.fine(self.stem(image))
        middle = self.middle(fine)
        middle = self.at_middle(middle + _doubled(self.from_coarse(self.coarse(middle))))
        out: Tensor = self.out(self.head(self.from_fine(fine) + _doubled(self.from_middle(middle))))
        return out


def _doubled(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")


def cell_centre(cells: Tensor) -> Tensor:
    """Pixel coordinate of the middle of cells."""
    return cells * STRIDE + (STRIDE - 1) / 2
