"""What the training of the detector minimises: maps against a view's table of vertebrae."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from vertegrade.localizer.detector.network import HEAT, POINT, SCALE_MM, SCORES, SIDE, SPREAD, STRIDE, cell_centre
from vertegrade.localizer.detector.samples import COLUMN, KEYPOINTS, KNOWN, LATERAL, LEVEL, PRESENT, ROW
from vertegrade.tables import POINTS

SIGMA_ROWS_MM, SIGMA_COLUMNS_MM = 3.0, 4.0
LEVEL_WEIGHT = 1.5  # levels are the hardest to learn and suffer nothing from the other losses
EDGE_CELLS = 3  # at a view's upper and lower edge, where nothing is learnt


def detector_loss(network: nn.Module, images: Tensor, table: Tensor) -> Tensor:
    """Loss of images (B, S + 1, H, W) with tables (B, MOST, WIDTH) of samples.py `view`.

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
