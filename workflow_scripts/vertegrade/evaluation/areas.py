"""Parts of the spine, and what lies where in a crop: the body, its endplates, discs and neighbours."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import ndimage

from vertegrade.arrays import Floats
from vertegrade.drawn_tables import AREAS
from vertegrade.graders.dae.counterfactual import Shown, outlines
from vertegrade.graders.dae.decoding import body_masks
from vertegrade.level_texts import region
from vertegrade.levels import LABEL_OF, craniocaudal_rank
from vertegrade.settings.spine import CropSettings
from vertegrade.spine.straighten import mm_to_crop
from vertegrade.tables import points_of

PARTS = {
    "C1-C7": "cervical",
    "T1-T4": "thoracic",
    "T5-T9": "thoracic",
    "T10-L2": "thoracolumbar",
    "L3-L6": "lumbar",
}
ENDPLATE_MM = 2.0  # on each side
SUPERIOR, INFERIOR = [0, 2, 4], [1, 3, 5]  # of tables.POINTS
NEXT = 1.0  # in rank: what stands between two levels that are further apart was not found


def part_of_spine(label: int) -> str:
    """thoracic (T1-T9), thoracolumbar (T10-L2), lumbar (from L3) or cervical."""
    return PARTS[region(label)]


def areas_in(
    rows: pd.DataFrame, landmarks: pd.DataFrame, frames: Sequence[np.ndarray], crop: CropSettings, shown: Shown
) -> np.ndarray:
    """Places in AREAS (M, H, W) of the crops of rows; see `neighbours_of`. shown: the same vertebrae."""
    around = neighbours_of(rows, landmarks, frames, crop)
    return areas_of(shown.points, outlines(shown), *around, crop.size, crop.pixel_mm)


def neighbours_of(
    rows: pd.DataFrame, landmarks: pd.DataFrame, frames: Sequence[np.ndarray], crop: CropSettings
) -> tuple[Floats, Floats]:
    """Six points, row and column, of the vertebrae above and below in the crops of rows: two arrays (M, 6, 2).

    NaN where the next level was not found or has no points. rows: KEY, `shard` and `crop`. landmarks: LANDMARKS.
    """
    shape = (crop.slices, crop.size, crop.size)
    names = zip(landmarks["scan_id"].astype(str), landmarks["vertebra"].astype(int), strict=True)
    six = dict(zip(names, points_of(landmarks), strict=True))
    found = np.full((2, len(rows), 6, 2), np.nan)
    crops = zip(rows["scan_id"], rows["vertebra"], rows["shard"], rows["crop"], strict=True)
    for place, (scan, vertebra, shard, at) in enumerate(crops):
        for side, labels in enumerate(_next_to(int(vertebra))):
            mm = next((six[scan, label] for label in labels if (scan, label) in six), None)
            if mm is not None:
                around = mm_to_crop(mm, frames[shard][at], shape, crop.pixel_mm, crop.slice_spacing_mm)
                found[side, place] = around[:, 1:]
    return found[0], found[1]


def _next_to(label: int) -> tuple[list[int], list[int]]:
    """Labels that may stand above and below, the nearer one first (T13 is there or not)."""
    rank = craniocaudal_rank(label)
    ranks = sorted((craniocaudal_rank(other), other) for other in LABEL_OF.values())
    above = [other for at, other in reversed(ranks) if 0 < rank - at <= NEXT]
    below = [other for at, other in ranks if 0 < at - rank <= NEXT]
    return above, below


def areas_of(points: Floats, intact: Floats, above: Floats, below: Floats, side: int, pixel_mm: float) -> np.ndarray:
    """Places in AREAS (M, side, side), int8, of crops. All points: (M, 6, 2) row and column.

    points: of the body. intact: what it would have as an intact one. above, below: of the neighbours, NaN if unknown.
    """
    body = body_masks(points, side, pixel_mm) > 0
    within = {
        "discs": _between(points[:, SUPERIOR], above[:, INFERIOR], side)
        | _between(below[:, SUPERIOR], points[:, INFERIOR], side),
        "lost": body_masks(intact, side, pixel_mm) > 0,
        "neighbours": _known_masks(above, side, pixel_mm) | _known_masks(below, side, pixel_mm),
        "body": body,
        "endplates": _near_endplates(points, side) <= ENDPLATE_MM / pixel_mm,
    }
    areas = np.zeros(body.shape, np.int8)
    for place, name in enumerate(AREAS):
        if name in within:
            areas[within[name]] = place
    return areas


def _known_masks(points: Floats, side: int, pixel_mm: float) -> np.ndarray:
    """Bodies with their endplates; nothing where points are NaN."""
    known = np.isfinite(points).all(axis=(1, 2))
    masks = np.zeros((len(points), side, side), bool)
    for place in np.flatnonzero(known):
        inside = body_masks(points[[place]], side, pixel_mm)[0] > 0
        near = _near_endplates(points[[place]], side)[0] <= ENDPLATE_MM / pixel_mm
        masks[place] = inside | near
    return masks


def _between(lower: Floats, upper: Floats, side: int) -> np.ndarray:
    """Between two endplates (M, 3, 2), from the row of `upper` down to that of `lower`; nothing where one is NaN."""
    masks = np.zeros((len(lower), side, side), bool)
    rows, columns = np.mgrid[:side, :side]
    for place, (low, high) in enumerate(zip(lower, upper, strict=True)):
        if np.isfinite(low).all() and np.isfinite(high).all():
            first, last = max(low[0, 1], high[0, 1]), min(low[-1, 1], high[-1, 1])
            edges = [np.interp(np.arange(side), line[:, 1], line[:, 0]) for line in (high, low)]
            masks[place] = (rows > edges[0]) & (rows < edges[1]) & (columns >= first) & (columns <= last)
    return masks


def _near_endplates(points: Floats, side: int) -> Floats:
    """Distance (M, side, side) in pixels to the nearer endplate, drawn as lines through its three points."""
    away = np.full((len(points), side, side), np.inf)
    for place, six in enumerate(points):
        lines = np.zeros((side, side), bool)
        for ends in (SUPERIOR, INFERIOR):
            line = six[ends]
            columns = np.arange(max(0, int(np.ceil(line[0, 1]))), min(side - 1, int(np.floor(line[-1, 1]))) + 1)
            drawn = np.rint(np.interp(columns, line[:, 1], line[:, 0])).astype(np.int64)
            inside = (drawn >= 0) & (drawn < side)
            lines[drawn[inside], columns[inside]] = True
        if lines.any():
            away[place] = ndimage.distance_transform_edt(~lines)
    return away
