"""Step 1: the curve through the vertebral bodies of a scan, and from where to where there is spine on it."""

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from vertegrade.ct.volume import Volume
from vertegrade.localizer.centreline.low_resolution import GRID_MM, LowResolution, low_resolution
from vertegrade.localizer.centreline.network import CELL_MM, CentrelineNetwork, cell_centres_mm, windowed
from vertegrade.localizer.centreline.spine_line import SpineLine
from vertegrade.reasons import Refused
from vertegrade.settings.localizer import CentrelineSettings
from vertegrade.spine.centreline import Centreline, fit_centreline

MULTIPLE = 8  # voxels: cells of two, halved twice
READ_CELLS = 2  # the position is read from the cells up to this far from the path's
OUTLIER_MM = 8.0


def find_centreline(
    volume: Volume, network: CentrelineNetwork, device: str, settings: CentrelineSettings | None = None
) -> SpineLine:
    """The spine of a scan of any size, in one pass at low resolution.

    Refused (`no_spine`): no spine that is long enough.
    """
    settings = settings or CentrelineSettings()
    small = low_resolution(volume)
    heat, offset, exists = _predicted(small, network, device)
    x, y, share = _positions(heat, offset, exists)
    kept = _spine_slices(exists, np.column_stack([x, y]), share, settings)
    if len(kept) * CELL_MM < settings.min_length_mm:
        raise Refused(
            "no_spine",
            f"found {len(kept) * CELL_MM:.0f} mm of spine, needed {settings.min_length_mm:.0f} mm: the scan shows no "
            "spine, or one that the localizer does not know; give centroids or a mask for it",
        )
    order = kept[::-1]  # head to feet
    points = np.column_stack([x, y, cell_centres_mm(len(x))])[order] + small.origin_mm
    sound = _without_outliers(points)
    points = points[sound]
    line = fit_centreline(points, settings.smoothing_mm)
    arcs = line.nearest(points)
    ends = [_limit_mm(exists, kept[end], step, settings) for end, step in ((-1, 1), (0, -1))]
    low, high = small.origin_mm[2] + np.array([-0.5, small.hu.shape[2] - 0.5]) * GRID_MM
    start, end = (
        _arc_at_height(line, arcs[place], float(np.clip(ends[place] + small.origin_mm[2], low, high)))
        for place in (0, -1)
    )
    return SpineLine(line, start, end)


def _predicted(
    small: LowResolution, network: CentrelineNetwork, device: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probability of each cell in its slice (X', Y', Z'), offsets (2, X', Y', Z') in mm, exists (Z',), 0-1."""
    image = windowed(torch.from_numpy(small.hu.astype(np.float32)))
    padding = [length for n in image.shape[::-1] for length in (0, -n % MULTIPLE)]
    image = F.pad(image, padding, value=-1.0)
    with torch.inference_mode():
        heat, offset, limits = (part[0].double() for part in network(image[None, None].to(device)))
    return _numpy(heat.flatten(0, 1).softmax(0).unflatten(0, heat.shape[:2])), _numpy(offset), _numpy(limits.sigmoid())


def _numpy(tensor: Tensor) -> np.ndarray:
    values: np.ndarray = tensor.cpu().numpy()
    return values


def _positions(heat: np.ndarray, offset: np.ndarray, exists: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x and y (Z',) in mm from the first voxel, and the share (Z',) of the slice's probability that agrees with them.

    The cells around the best path from slice to slice are read by soft-argmax, so that other bright places (ribs,
    sternum, an arm) do not draw the position aside.
    """
    path = best_path(np.log(heat + 1e-6) * exists)
    centres = [cell_centres_mm(n) for n in heat.shape[:2]]
    x, y, share = np.empty(len(path)), np.empty(len(path)), np.empty(len(path))
    for z, (i, j) in enumerate(path):
        wide, deep = (slice(max(n - READ_CELLS, 0), n + READ_CELLS + 1) for n in (i, j))
        weight = heat[wide, deep, z]
        share[z] = weight.sum()
        weight = weight / max(share[z], 1e-12)
        x[z] = (weight * (centres[0][wide, None] + offset[0, wide, deep, z])).sum()
        y[z] = (weight * (centres[1][deep] + offset[1, wide, deep, z])).sum()
    return x, y, share


def best_path(scores: np.ndarray) -> np.ndarray:
    """Cells (Z', 2) of the path with the highest sum of scores (X', Y', Z'), at most 45 degrees (one cell) per slice.

    Viterbi's algorithm with a moving maximum over 3 x 3 cells.
    """
    total = [scores[:, :, 0]]
    for z in range(1, scores.shape[2]):
        total.append(scores[:, :, z] + ndimage.maximum_filter(total[-1], 3, mode="nearest"))
    here = np.array(np.unravel_index(total[-1].argmax(), total[-1].shape))
    path = [here]
    for before in total[-2::-1]:
        low = np.maximum(here - 1, 0)
        near = before[low[0] : here[0] + 2, low[1] : here[1] + 2]
        here = low + np.array(np.unravel_index(near.argmax(), near.shape))
        path.append(here)
    return np.stack(path[::-1])


def _spine_slices(
    exists: np.ndarray, places: np.ndarray, share: np.ndarray, settings: CentrelineSettings
) -> np.ndarray:
    """Slices (n,), rising, of the stretch of spine that the network is surest of.

    Stretches count as one where the gap is short and the line would not bend by more than 45 degrees to cross it: a
    hip below a gap is no spine. places: (Z', 2), mm.
    """
    seen = np.flatnonzero(exists > settings.min_probability)
    up = np.diff(seen) * CELL_MM
    aside = np.linalg.norm(np.diff(places[seen], axis=0), axis=1)
    apart = (up > CELL_MM) & ((up > settings.max_gap_mm) | (aside > up))
    stretches = np.split(seen, np.flatnonzero(apart) + 1)
    return max(stretches, key=lambda stretch: float((exists * share)[stretch].sum()))


def _limit_mm(exists: np.ndarray, last: int, step: int, settings: CentrelineSettings) -> float:
    """Height (mm from the first voxel) where the probability falls through the least one, one step beyond a slice."""
    beyond = last + step
    after = exists[beyond] if 0 <= beyond < len(exists) else 0.0
    way = (exists[last] - settings.min_probability) / (exists[last] - after)
    return float(cell_centres_mm(len(exists))[last] + step * way * CELL_MM)


def _arc_at_height(line: Centreline, arc: float, height: float) -> float:
    """Arc length of the place at a height (z, RAS mm) on the straight continuation of the line at an arc length."""
    place, tangent = line.at(np.array(arc))
    return float(arc + (height - place[2]) / tangent[2])


def _without_outliers(points: np.ndarray) -> np.ndarray:
    """Which points (N, 3) lie within OUTLIER_MM of the running median of five neighbours, bool (N,)."""
    running = ndimage.median_filter(points[:, :2], size=(5, 1), mode="nearest")
    near: np.ndarray = np.linalg.norm(points[:, :2] - running, axis=1) < OUTLIER_MM
    return near
