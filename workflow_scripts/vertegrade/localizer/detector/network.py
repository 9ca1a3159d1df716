"""The vertebra detector: a small 2D feature pyramid over straightened images, anchor-free, and its loss."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from vertegrade.localizer.detector.samples import (
    COLUMN,
    KEYPOINTS,
    KNOWN,
    LATERAL,
    LEVEL,
    NETWORK_LEVELS,
    PRESENT,
    ROW,
)
from vertegrade.localizer.straight_image import GEOMETRY
from vertegrade.tables import POINTS

STRIDE = 4
SCALE_MM = 10.0  # regressed lengths are in units of this
# Channels of the output, in order.
HEAT = 0
SIDE = 1  # lateral
POINT = slice(2, 2 + 2 * len(POINTS))
SPREAD = slice(POINT.stop, POINT.stop + 1 + 2 * len(POINTS))  # log scales of side and points
SCORES = slice(SPREAD.stop, SPREAD.stop + len(NETWORK_LEVELS))
OUTPUTS = SCORES.stop
SIGMA_ROWS_MM, SIGMA_COLUMNS_MM = 3.0, 4.0
LEVEL_WEIGHT = 1.5  # levels are the hardest to learn and suffer nothing from the other losses
LOW_PRIOR = -3.0  # first logit of the heat map: few cells are centres
EDGE_CELLS = 3  # at a view's upper and lower edge, where nothing is learnt


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
    """What stands before the outputs: (B, channels, H, W) -> (B, out, H, W)."""
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


def detector_loss(network: nn.Module, images: Tensor, table: Tensor) -> Tensor:
    """Loss of images (B, S + 1, H, W) with tables (B, MOST, WIDTH) of detector_samples.py `view`.

    The network runs in bfloat16, which halves the time on a CPU that has it; the loss is computed in float32.
    """
    with torch.autocast(images.device.type, torch.bfloat16):
        maps = network(images)
    return maps_loss(maps.float(), table)


def maps_loss(maps: Tensor, table: Tensor) -> Tensor:
    """Loss of maps (B, OUTPUTS, h, w) against tables (B, MOST, WIDTH)."""
    heat, weight = _heat_target(table, maps.shape[2], maps.shape[3])
    loss = 2 * _focal(maps[:, HEAT], heat, weight)
    near, values, targets = _near_cells(maps, table)
    if not len(near):
        return loss
    lengths = _lengths(near, targets)
    known = torch.cat([near.new_ones(len(near), 1), targets[:, KNOWN, None].expand(-1, 2 * len(POINTS))], dim=1)
    predicted = torch.cat([values[:, SIDE, None], values[:, POINT]], dim=1)
    log_scale = values[:, SPREAD].clamp(-4, 3)
    error = (predicted - torch.nan_to_num(lengths)).abs()
    # Laplace's negative log likelihood, and the error itself so that precision is not all that counts.
    loss = loss + 3 * (((error * torch.exp(-log_scale) + log_scale) * 0.3 + error) * known).mean()
    return loss + LEVEL_WEIGHT * functional.cross_entropy(
        values[:, SCORES], targets[:, LEVEL].long(), ignore_index=-1, label_smoothing=0.02
    )


def _heat_target(table: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Gaussians at the centres, (B, h, w), 1 in the nearest cell; and the weight of each cell."""
    rows = cell_centre(torch.arange(height, dtype=torch.float32))
    columns = cell_centre(torch.arange(width, dtype=torch.float32))
    nearest = cell_centre(((table[..., [ROW, COLUMN]] - (STRIDE - 1) / 2) / STRIDE).round())
    along = ((rows - nearest[..., :1]) / SIGMA_ROWS_MM) ** 2
    across = ((columns - nearest[..., 1:]) / SIGMA_COLUMNS_MM) ** 2
    bumps = torch.exp(-0.5 * (along[..., :, None] + across[..., None, :])) * table[..., PRESENT, None, None]
    weight = torch.ones(1, height, 1)
    weight[:, :EDGE_CELLS] = weight[:, -EDGE_CELLS:] = 0
    return bumps.amax(dim=1), weight


def _focal(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """CenterNet's penalty-reduced focal loss per centre, (B, h, w)."""
    p = torch.sigmoid(logits)
    positive = (target > 0.999).float()
    hit = positive * (1 - p) ** 2 * functional.logsigmoid(logits)
    miss = (1 - positive) * (1 - target) ** 4 * p**2 * functional.logsigmoid(-logits)
    return -((hit + miss) * weight).sum() / (positive * weight).sum().clamp(min=1)


def _near_cells(maps: Tensor, table: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The 3 x 3 cells round each centre: pixel places (m, 2), outputs (m, OUTPUTS) and table rows (m, WIDTH)."""
    batch, slot = torch.nonzero(table[..., PRESENT] > 0, as_tuple=True)
    rows = table[batch, slot]
    nearest = ((rows[:, [ROW, COLUMN]] - (STRIDE - 1) / 2) / STRIDE).round().long()
    steps = torch.cartesian_prod(torch.arange(-1, 2), torch.arange(-1, 2))
    cells = nearest[:, None] + steps
    limit = torch.tensor(maps.shape[2:])
    ok = ((cells >= 0) & (cells < limit)).all(dim=-1)
    ok &= (cells[..., 0] >= EDGE_CELLS) & (cells[..., 0] < limit[0] - EDGE_CELLS)
    which, step = torch.nonzero(ok, as_tuple=True)
    chosen = cells[which, step]
    return cell_centre(chosen.float()), maps[batch[which], :, chosen[:, 0], chosen[:, 1]], rows[which]


def _lengths(near: Tensor, targets: Tensor) -> Tensor:
    """True offsets in units of SCALE_MM, (m, 13): lateral, six points (row, column)."""
    points = targets[:, KEYPOINTS:] - near.repeat(1, len(POINTS))
    return torch.cat([targets[:, [LATERAL]], points], dim=1) / SCALE_MM
