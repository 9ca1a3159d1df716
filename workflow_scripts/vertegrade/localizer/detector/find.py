"""Every vertebra along a centreline with its six points, level scores and error bars: localization's second step."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.special import ndtr
from torch import Tensor, nn

from vertegrade.ct.volume import OUTSIDE_HU, Volume, in_filling, mm_to_voxel
from vertegrade.localizer.detector.network import (
    HEAT,
    POINT,
    SCALE_MM,
    SCORES,
    SIDE,
    DetectorNetwork,
    cell_centre,
)
from vertegrade.localizer.detector.samples import MARGIN_MM
from vertegrade.localizer.image_augmentation import windowed
from vertegrade.localizer.refiner.endplates import at_outer_edge
from vertegrade.localizer.refiner.network import RefinerNetwork
from vertegrade.localizer.refiner.samples import ANTERIOR, LOOK, body_axes
from vertegrade.localizer.refiner.samples import POSTERIOR as BEHIND
from vertegrade.localizer.straight_image import StraightImage, body_frames, straight_image
from vertegrade.localizer.weights import load_weights
from vertegrade.spine.centreline import Centreline, fit_centreline
from vertegrade.spine.crop import sample_crop
from vertegrade.spine.straighten import LEFT, POSTERIOR
from vertegrade.tables import POINTS

KIND = "vertegrade-vertebrae-1"
# What may be a vertebra: the labelling of the whole scan decides. The line is corrected by those that surely are.
MIN_CONFIDENCE, SURE = 0.05, 0.3
CORRECTED_MM, CORRECTED_SMOOTHING_MM = 4.0, 60.0
NEAREST_MM = 8.0  # of two detections nearer than this along the line one goes; crushed neighbours are 9 mm apart
CLEAR_MM, BEYOND_MM = 1.0, 2.0
CLEAR_AT_EDGE_MM = (CLEAR_MM, BEYOND_MM, CLEAR_MM)  # along i, j, k; errors are known along the body's height alone
LOOKS = 2  # the second look is centred and turned by what the first one found
LARGEST_CORRECTION_MM = 8.0  # a refiner that moves a body further has slipped to a neighbour


class VertebraNetwork(nn.Module):
    """The detector and the refiner, which ship as one file."""

    def __init__(self) -> None:
        super().__init__()
        self.detector = DetectorNetwork()
        self.refiner = RefinerNetwork()


@dataclass(frozen=True, eq=False)
class Detection:
    """A vertebra that was found.

    arc_mm: place of its centre along the centreline. centre_mm: (3,), the middle of the body, RAS. points_mm: (6, 3),
    RAS, in the order of tables.POINTS. point_sd_mm: (6,), expected error (standard deviation) of each point along the
    body's height. confidence: 0-1, that it is a vertebra, from its looks. level_log_p: (25,), log probabilities of
    NETWORK_LEVELS from its looks and surroundings. complete_probability: that the body lies completely in the scan
    (function of this name).
    """

    arc_mm: float
    centre_mm: np.ndarray
    points_mm: np.ndarray
    point_sd_mm: np.ndarray
    confidence: float
    level_log_p: np.ndarray
    complete_probability: float


def load_vertebra_network(path: str | Path, device: str = "cpu") -> VertebraNetwork:
    """The trained networks of a weights file, ready to use; WeightsError where it does not fit."""
    network = VertebraNetwork()
    load_weights(path, network, KIND)
    return network.to(device)


def find_vertebrae(
    volume: Volume, line: Centreline, start_arc_mm: float, end_arc_mm: float, network: VertebraNetwork, device: str
) -> list[Detection]:
    """Vertebrae of a scan, head to feet, looked for along its centreline between two arc lengths and 32 mm beyond.

    They are looked for twice: the second time along the line through those that were found surely, because a body
    that lies aside of the line looks less like one. The network is in evaluation mode on `device`. The list is empty
    where nothing looks like a vertebra.
    """
    sure = find_in_line(volume, line, start_arc_mm, end_arc_mm, network, device, SURE)[2]
    if len(sure) > 1:
        centres = refined(volume, sure, network.refiner, device)[0].mean(axis=1)
        line = corrected_line(line, start_arc_mm, end_arc_mm, centres)
        start_arc_mm, end_arc_mm = 0.0, float(line.arcs[-1])
    maps, candidates, coarse = find_in_line(volume, line, start_arc_mm, end_arc_mm, network, device, MIN_CONFIDENCE)
    if not len(candidates):
        return []
    points, spread = refined(volume, coarse, network.refiner, device)
    points = at_outer_edge(volume, points)
    arcs = line.nearest(points.mean(axis=1))
    cells = maps[:, candidates[:, 0], candidates[:, 1]].T
    confidence = torch.sigmoid(cells[:, HEAT]).numpy().astype(np.float64)
    levels = torch.log_softmax(cells[:, SCORES], dim=1).numpy().astype(np.float64)
    kept = keep_apart(arcs, confidence, NEAREST_MM)
    return [
        Detection(
            float(arcs[n]),
            points[n].mean(axis=0),
            points[n],
            spread[n],
            float(confidence[n]),
            levels[n],
            complete_probability(volume, points[n], spread[n]),
        )
        for n in kept
    ]


def find_in_line(
    volume: Volume,
    line: Centreline,
    start_arc_mm: float,
    end_arc_mm: float,
    network: VertebraNetwork,
    device: str,
    min_confidence: float,
) -> tuple[Tensor, np.ndarray, np.ndarray]:
    """The detector's maps (OUTPUTS, h, w) along a line, its peaks (m, 2) and their coarse points (m, 6, 3), RAS mm."""
    image = straight_image(volume, line, start_arc_mm - MARGIN_MM, end_arc_mm + MARGIN_MM)
    with torch.inference_mode():
        maps = network.detector(network_input(image).to(device))[0].float().cpu()
    peaks = find_peaks(maps, min_confidence)
    points = _coarse_points(maps, peaks, image) if len(peaks) else np.zeros((0, len(POINTS), 3))
    return maps, peaks, points


def corrected_line(line: Centreline, start_arc_mm: float, end_arc_mm: float, centres_mm: np.ndarray) -> Centreline:
    """The line between two arc lengths, moved to run through body centres (n, 3), RAS mm; its arc 0 is at the start.

    Between two centres the shift is interpolated, beyond the last ones it stays.
    """
    arcs = np.arange(start_arc_mm, end_arc_mm + CORRECTED_MM, CORRECTED_MM)
    at = line.nearest(centres_mm)
    order = np.argsort(at)
    off = (centres_mm - line.at(at)[0])[order]
    shift = np.stack([np.interp(arcs, at[order], off[:, axis]) for axis in range(3)], axis=1)
    return fit_centreline(line.at(arcs)[0] + shift, CORRECTED_SMOOTHING_MM)


def complete_probability(volume: Volume, points_mm: np.ndarray, point_sd_mm: np.ndarray) -> float:
    """That a body lies in the scan wholly, from its six points (6, 3), RAS mm, and their expected errors (6,) in mm.

    A body that the scan cuts has its points put on the edge: a half where a point is as far inside as its error and a
    voxel, CLEAR_AT_EDGE_MM at least. Scans that were turned, cropped or masked end within their grid, in a filling: 0
    where that begins just beyond an endplate, or just before or behind the body.
    """
    _, down, left = body_axes(points_mm)
    back = np.cross(left, down)
    outward = np.where(np.arange(len(POINTS))[:, None] % 2, down, -down)
    voxel_mm = np.abs(np.linalg.inv(volume.affine[:3, :3] / volume.spacing_mm) @ down) @ volume.spacing_mm
    far_mm = point_sd_mm[:, None] + max(voxel_mm, CLEAR_MM)
    last = np.array(volume.hu.shape) - 1
    if any(_padded(volume, points_mm + mm * outward).any() for mm in (BEYOND_MM, far_mm)):
        return 0.0
    across_mm = BEYOND_MM + volume.spacing_mm[1]  # there may be true air here, in the gullet or the lung
    beside = np.concatenate([points_mm[ANTERIOR] - across_mm * back, points_mm[BEHIND] + across_mm * back])
    if in_filling(volume.hu, mm_to_voxel(volume.affine, beside)).any():
        return 0.0
    voxels = mm_to_voxel(volume.affine, points_mm)
    room = np.minimum(voxels + 0.5, last + 0.5 - voxels) * volume.spacing_mm
    clear = room - np.maximum(volume.spacing_mm, CLEAR_AT_EDGE_MM) - point_sd_mm[:, None]
    return float(ndtr(clear.min(axis=1) / point_sd_mm).min())


def _padded(volume: Volume, points_mm: np.ndarray) -> np.ndarray:
    """Which of the points (n, 3), RAS mm, lie in what is no tissue, not even gas in a disc."""
    near = np.rint(mm_to_voxel(volume.affine, points_mm)).astype(int).clip(0, np.array(volume.hu.shape) - 1)
    padded: np.ndarray = volume.hu[tuple(near.T)] <= OUTSIDE_HU
    return padded


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


def keep_apart(arcs_mm: np.ndarray, confidence: np.ndarray, nearest_mm: float) -> list[int]:
    """Indices of detections, head to feet, after the weaker of any two nearer than `nearest_mm` along the line went."""
    kept: list[int] = []
    for n in np.argsort(-confidence, kind="stable").tolist():
        if all(abs(arcs_mm[n] - arcs_mm[other]) >= nearest_mm for other in kept):
            kept.append(n)
    return sorted(kept, key=lambda n: float(arcs_mm[n]))


def _coarse_points(maps: Tensor, cells: np.ndarray, image: StraightImage) -> np.ndarray:
    """Six points (m, 6, 3), RAS mm, as the detector's cells (m, 2) have them."""
    values = maps[:, cells[:, 0], cells[:, 1]].T.numpy().astype(np.float64) * SCALE_MM
    middle = cell_centre(torch.from_numpy(cells)).numpy()
    places = middle[:, None] + values[:, POINT].reshape(-1, len(POINTS), 2)
    slices = (len(image.pixels) - 1) / 2 + values[:, SIDE] / image.geometry.slice_spacing_mm
    slices = np.broadcast_to(slices[:, None, None], (*places.shape[:2], 1))
    return image.to_mm(np.concatenate([slices, places], axis=-1))


def refined(volume: Volume, points_mm: np.ndarray, network: nn.Module, device: str) -> tuple[np.ndarray, np.ndarray]:
    """Better points (m, 6, 3) for coarse ones, RAS mm, and the expected error (m, 6) of each along the height, mm.

    Each vertebra is looked at in its own flat mid-sagittal plane, so that nothing is bent; left and right swapped as
    well, and the mean taken.
    """
    for _ in range(LOOKS):
        poses = [body_axes(points) for points in points_mm]
        frames = [body_frames(centre, down, left, LOOK) for centre, down, left in poses]
        looks = np.stack([sample_crop(volume, frame, LOOK)[0] for frame in frames]).astype(np.float32)
        x = windowed(torch.from_numpy(looks))
        with torch.inference_mode():
            found, log_scale, _ = (part.cpu() for part in network(torch.cat([x, x.flip(1)]).to(device)))
        mirror = torch.tensor([-1.0, 1.0, 1.0])  # of the lateral coordinate
        local = ((found[: len(x)] + found[len(x) :] * mirror) / 2).numpy().astype(np.float64)
        scale = torch.exp((log_scale[: len(x), :, 1] + log_scale[len(x) :, :, 1]) / 2).numpy()
        better = np.stack([_to_space(*pose, frame, at) for pose, frame, at in zip(poses, frames, local, strict=True)])
        slipped = np.linalg.norm(better.mean(axis=1) - points_mm.mean(axis=1), axis=1) > LARGEST_CORRECTION_MM
        points_mm = np.where(slipped[:, None, None], points_mm, better)
    # Laplace's standard deviation is sqrt(2) times its scale, but training views are harder than scans: on held-out
    # phantoms the scale itself is the standard deviation of the errors.
    return points_mm, scale.astype(np.float64)


def _to_space(
    centre: np.ndarray, down: np.ndarray, left: np.ndarray, frame: np.ndarray, local: np.ndarray
) -> np.ndarray:
    """RAS mm (6, 3) of points in mm (lateral, row, column) of a flat look."""
    return centre + local @ np.stack([frame[0, LEFT], down, frame[0, POSTERIOR]])
