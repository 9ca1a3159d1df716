"""The refiner: a close look at one vertebra, from which its six points are read to a fraction of a pixel."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from vertegrade.localizer.detector.network import Block, finished, halved
from vertegrade.localizer.refiner.look import LOOK
from vertegrade.tables import POINTS

MAP_MM = 2 * LOOK.pixel_mm  # pixel of the heat maps


class RefinerNetwork(nn.Module):
    """Looks (B, 7, 64, 64) to points (B, 6, 3) in mm (lateral, row, column from the middle), log scales and heat maps.

    Row and column are the mean place under a heat map for each point (integral regression, Sun et al. 2018; Nibali et
    al. 2018), the lateral mm the mean of a second map under the first.
    """

    def __init__(self) -> None:
        super().__init__()
        count = len(POINTS)
        self.stem = nn.Sequential(nn.Conv2d(LOOK.slices, 20, 3, padding=1, bias=False), nn.BatchNorm2d(20), nn.SiLU())
        self.fine = nn.Sequential(nn.Conv2d(20, 40, 3, stride=2, padding=1), Block(40))
        self.middle = nn.Sequential(halved(40, 64), Block(64), Block(64))
        self.coarse = nn.Sequential(halved(64, 96), Block(96), Block(96))
        self.from_coarse = nn.Conv2d(96, 64, 1)
        self.at_middle = Block(64)
        self.from_middle = nn.Conv2d(64, 40, 1)
        self.head = nn.Sequential(Block(40), finished(40, 48))
        self.heat = nn.Conv2d(48, count, 1)
        self.lateral = nn.Conv2d(48, count, 1)
        self.spread = nn.Conv2d(48, 3 * count, 1)

    def forward(self, looks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Images windowed to -1..1 to points, log scales (B, 6, 3) and logits of the heat maps (B, 6, 32, 32)."""
        fine = self.fine(self.stem(looks))
        middle = self.middle(fine)
        middle = self.at_middle(middle + _doubled(self.from_coarse(self.coarse(middle))))
        features = self.head(fine + _doubled(self.from_middle(middle)))
        logits = self.heat(features).float()
        heat = torch.softmax(logits.flatten(2), dim=2)
        side = features.shape[-1]
        place = (torch.arange(side, dtype=heat.dtype, device=heat.device) - (side - 1) / 2) * MAP_MM
        square = heat.unflatten(2, (side, side))
        row, column = (square.sum(dim=3) * place).sum(dim=2), (square.sum(dim=2) * place).sum(dim=2)
        lateral = 10 * (self.lateral(features).flatten(2) * heat).sum(dim=2)
        spread = self.spread(features).flatten(2).unflatten(1, (len(POINTS), 3))
        log_scale = (spread * heat[:, :, None]).sum(dim=3)
        return torch.stack([lateral, row, column], dim=2), log_scale, logits


def _doubled(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
