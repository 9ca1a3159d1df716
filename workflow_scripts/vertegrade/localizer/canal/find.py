"""The spinal canal of a scan as a smooth curve: each axial slice says where it is, or that it is not there.

The curve is fitted through the slices that are sure of it, so that it bridges slices where metal, motion or the edge of
a field hides the canal. It ends where the canal is no longer seen: below C1 or at the sacrum's end, not where the cord
ends. In a head, a thigh or a scan without a spine nothing is found.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.interpolate import BSpline, make_smoothing_spline

from vertegrade.arrays import Floats
from vertegrade.ct.volume import Volume
from vertegrade.localizer.canal.network import (
    KIND,
    PIXEL_MM,
    READ_CELLS,
    STEP_MM,
    CanalNetwork,
    cell_middles,
    probabilities,
    seen,
)
from vertegrade.localizer.centreline.find import best_path
from vertegrade.localizer.centreline.low_resolution import LowResolution, low_resolution
from vertegrade.localizer.weights import load_weights
from vertegrade.reasons import Refused
from vertegrade.spine.centreline import Centreline, fit_centreline

BATCH = 16  # slices at once, always as many, so that all are rounded alike
SURE = 0.5  # probability from which a slice counts
SHORTEST_MM, LONGEST_GAP_MM = 40.0, 60.0
WAVE_MM = 60.0  # of the curve's bends, waves of this length keep half of their height
ROUNDS, LIMIT, LEAST_MM = 8, 4.685, 1.0  # of Tukey's biweight (Huber and Ronchetti 2009), in scales of at least 1 mm
KNOTS_MM, SMOOTHING_MM = 8.0, 10.0  # the curve as knots of a centreline


@dataclass(frozen=True)
class Canal:
    """The canal of a scan, head to feet: a curve, and from where to where on it the canal is seen.

    slices, sure: how many axial slices (4 mm) lie between its ends, and in how many of these the canal was seen.
    """

    line: Centreline
    start_arc_mm: float
    end_arc_mm: float
    slices: int
    sure: int


def load_canal(path: str | Path, device: str) -> CanalNetwork:
    """The network of a weights file; WeightsError where it is missing, damaged or another one."""
    network = CanalNetwork()
    load_weights(path, network, KIND)
    return network.to(device)


def find_canal(volume: Volume, network: CanalNetwork, device: str) -> Canal:
    """The spinal canal of a scan. Refused (`no_canal`): none, or less than SHORTEST_MM of one."""
    small = low_resolution(volume, (PIXEL_MM, PIXEL_MM, STEP_MM))
    places, share = slice_places(small, network, device)
    kept = _stretch(places, share)
    if len(kept) * STEP_MM < SHORTEST_MM:
        raise Refused(
            "no_canal",
            f"a spinal canal is seen over {len(kept) * STEP_MM:.0f} mm, {SHORTEST_MM:.0f} mm are needed: the scan "
            "shows no spine, or only the edge of one",
        )
    curve = robust_curve(kept * STEP_MM, places[kept], share[kept])
    first, last = kept[0] * STEP_MM, kept[-1] * STEP_MM
    heights = np.linspace(last, first, max(2, round((last - first) / KNOTS_MM) + 1))
    knots = np.column_stack([curve(heights), heights]) + small.origin_mm
    line = fit_centreline(knots, SMOOTHING_MM)
    half = STEP_MM / 2
    return Canal(line, -half, float(line.arcs[-1]) + half, int(kept[-1] - kept[0]) + 1, len(kept))


def slice_places(small: LowResolution, network: CanalNetwork, device: str) -> tuple[Floats, Floats]:
    """Where the canal is in each slice, (Z, 2), x and y in mm from the first pixel, and the probability of it, (Z,).

    Soft-argmax over the cells around the best path from slice to slice, so that a bright place of one slice (a rib, an
    arm) does not draw the position aside.
    """
    heat, offset = _predicted(small, network, device)
    path = best_path(np.log(heat + 1e-3))
    middles = [cell_middles(n).numpy() for n in heat.shape[:2]]
    places, share = np.empty((len(path), 2)), np.empty(len(path))
    for z, (i, j) in enumerate(path):
        wide, deep = (slice(max(n - READ_CELLS, 0), n + READ_CELLS + 1) for n in (i, j))
        weight = heat[wide, deep, z]
        share[z] = weight.sum()
        weight = weight / max(share[z], 1e-12)
        places[z, 0] = (weight * (middles[0][wide, None] + offset[0, wide, deep, z])).sum()
        places[z, 1] = (weight * (middles[1][deep] + offset[1, wide, deep, z])).sum()
    return places, share


def _predicted(small: LowResolution, network: CanalNetwork, device: str) -> tuple[Floats, Floats]:
    """Probability of each cell (X', Y', Z), and offsets (2, X', Y', Z) in mm."""
    slices = torch.from_numpy(np.ascontiguousarray(small.hu.transpose(2, 0, 1)))
    heats, offsets = [], []
    with torch.inference_mode():
        for first in range(0, len(slices), BATCH):
            at = torch.arange(first, first + BATCH).clamp(max=len(slices) - 1)
            heat, offset = network(seen(slices[at].float()).to(device))
            count = min(BATCH, len(slices) - first)
            heats.append(probabilities(heat.double())[:count].cpu())
            offsets.append(offset.double()[:count].cpu())
    return torch.cat(heats).permute(1, 2, 0).numpy(), torch.cat(offsets).permute(1, 2, 3, 0).numpy()


def _stretch(places: Floats, share: Floats) -> np.ndarray:
    """Sure slices (n,), rising, of the stretch of canal that the network is surest of.

    Stretches count as one where the gap is short and the curve would not bend by more than 45 degrees to cross it.
    """
    sure = np.flatnonzero(share > SURE)
    up = np.diff(sure) * STEP_MM
    aside = np.linalg.norm(np.diff(places[sure], axis=0), axis=1)
    apart = (up > STEP_MM) & ((up > LONGEST_GAP_MM) | (aside > up))
    stretches = np.split(sure, np.flatnonzero(apart) + 1)
    return max(stretches, key=lambda stretch: float(share[stretch].sum()))


def robust_curve(heights: Floats, places: Floats, weights: Floats) -> BSpline:
    """The smooth curve (x, y) over heights (n,) through most of places (n, 2), whatever a few of them say; mm.

    A natural cubic smoothing spline, fitted again and again with Tukey's biweight of the distances to it, first with
    Huber's weight, which has one solution. weights: (n,) of the places. n must be 5 or more, the heights rising.
    """
    lam = (WAVE_MM / (2 * np.pi)) ** 4 / STEP_MM
    trust = np.ones(len(heights))
    for number in range(ROUNDS):
        curve = make_smoothing_spline(heights, places, np.maximum(weights * trust, 1e-6), lam)
        off = np.linalg.norm(places - curve(heights), axis=1)
        off /= max(1.4826 * float(np.median(off)), LEAST_MM)
        huber = 1.345 / np.maximum(off, 1.345)
        trust = huber if number < ROUNDS // 2 else np.clip(1 - (off / LIMIT) ** 2, 0, None) ** 2
    return curve
