"""What may be vertebrae along a spine: their rough points, levels and confidences, from one straightened image."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from vertegrade.ct.volume import Volume
from vertegrade.localizer.centreline.spine_line import SpineLine
from vertegrade.localizer.detector.network import HEAT, POINT, SCALE_MM, SCORES, SIDE, cell_centre
from vertegrade.localizer.straight_image import MARGIN_MM, StraightImage, straight_image, windowed
from vertegrade.tables import POINTS


@dataclass(frozen=True, eq=False)
class Candidates:
    """What may be m vertebrae, in no order.

    points_mm: (m, 6, 3), RAS, rough. confidence: (m,), 0-1, that it is a vertebra, from its looks. level_log_p:
    (m, 25), log probabilities of NETWORK_LEVELS.
    """

    points_mm: np.ndarray
    confidence: np.ndarray
    level_log_p: np.ndarray


def find_candidates(
    volume: Volume, spine: SpineLine, network: nn.Module, device: str, min_confidence: float
) -> Candidates:
    """Peaks of the detector's heat map along a spine and MARGIN_MM beyond its ends; there may be none.

    network: a DetectorNetwork in evaluation mode on `device`.
    """
    image = straight_image(volume, spine.line, spine.start_arc_mm - MARGIN_MM, spine.end_arc_mm + MARGIN_MM)
    with torch.inference_mode():
        maps = network(network_input(image).to(device))[0].float().cpu()
    peaks = find_peaks(maps, min_confidence)
    cells = maps[:, peaks[:, 0], peaks[:, 1]].T
    return Candidates(
        _rough_points(cells, peaks, image),
        torch.sigmoid(cells[:, HEAT]).numpy().astype(np.float64),
        torch.log_softmax(cells[:, SCORES], dim=1).numpy().astype(np.float64),
    )


def network_input(image: StraightImage) -> Tensor:
    """The detector's input (1, S + 1, H, W) of a straightened spine."""
    hu = windowed(torch.from_numpy(image.pixels.astype(np.float32)))
    return torch.cat([hu, torch.from_numpy(image.inside.astype(np.float32))[None]])[None]


def find_peaks(maps: Tensor, min_confidence: float) -> np.ndarray:
    """Cells (m, 2) (row, column) of maps (OUTPUTS, h, w) that are the best of their surroundings and sure enough."""
    heat = torch.sigmoid(maps[HEAT])[None, None]
    best = nn.functional.max_pool2d(heat, 3, stride=1, padding=1)
    peaks: np.ndarray = torch.nonzero(((heat == best) & (heat >= min_confidence))[0, 0]).numpy()
    return peaks


def _rough_points(cells: Tensor, peaks: np.ndarray, image: StraightImage) -> np.ndarray:
    """Six points (m, 6, 3), RAS mm, of the outputs (m, OUTPUTS) in cells (m, 2) of the maps."""
    values = cells.numpy().astype(np.float64) * SCALE_MM
    middle = cell_centre(torch.from_numpy(peaks)).numpy()
    places = middle[:, None] + values[:, POINT].reshape(-1, len(POINTS), 2)
    slices = (len(image.pixels) - 1) / 2 + values[:, SIDE] / image.geometry.slice_spacing_mm
    slices = np.broadcast_to(slices[:, None, None], (*places.shape[:2], 1))
    return image.to_mm(np.concatenate([slices, places], axis=-1))
