"""The bodies of a scan as one straight slab in front of the spinal canal, and where each vertebra lies in it.

The slab follows a curve through the bodies, moved forwards from the canal by fixed millimetres: along the canal itself,
bodies before a bend would be pressed together. Rows have fixed millimetres too, so that a step is as long in a scan of
thick slices as in one of thin ones.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from vertegrade.arrays import AnyFloats, Floats
from vertegrade.ct.volume import Volume
from vertegrade.graders.seq2seq.patches import WHOLE, shares
from vertegrade.localizer.canal.find import Canal
from vertegrade.patches.cut import patch_geometry
from vertegrade.settings.patches import PatchSettings
from vertegrade.settings.seq2seq import StraightSpineSettings
from vertegrade.settings.spine import CropSettings
from vertegrade.spine.centreline import Centreline, fit_centreline
from vertegrade.spine.crop import sample_crop
from vertegrade.spine.level_statistics import level_sizes
from vertegrade.spine.straighten import TO_RIGHT, mm_to_crop
from vertegrade.tables import BODY_HEIGHTS, KEY, SPINE_BODIES, centres_of, points_of

KNOTS_MM, SMOOTHING_MM = 6.0, 60.0  # of the curve through the bodies: no single body bends it
CHUNK_ROWS = 128
T12, T13 = 19, 28
SUPERIOR, INFERIOR = slice(0, 6, 2), slice(1, 6, 2)  # of six points


@dataclass(frozen=True, eq=False)
class StraightSpine:
    """pixels: int16 HU (R, S, W), rows from head to feet, slices from right to left, columns from front to back.

    -1024 outside the scan. frames: float64 (R, 3, 3), as docs/design/architecture.md says.
    """

    pixels: np.ndarray
    frames: Floats


def patch_rows(settings: StraightSpineSettings) -> tuple[int, int]:
    """Rows of a patch, and from a patch to the next."""
    return round(settings.patch_mm / settings.voxel_mm), max(1, round(settings.step_mm / settings.voxel_mm))


def straight_spine(volume: Volume, canal: Canal, settings: StraightSpineSettings) -> StraightSpine:
    """The slab of a scan, from where its canal begins to where it ends; a few rows more, so that patches fill it."""
    line = bodies_line(canal, settings.ahead_mm)
    height, step = patch_rows(settings)
    rows = max(height, int(np.ceil(float(line.arcs[-1]) / settings.voxel_mm)) + 1)
    rows += (height - rows) % step
    frames = slab_frames(line, np.arange(rows) * settings.voxel_mm)
    geometry = slab_geometry(settings)
    pieces = [sample_crop(volume, frames[first : first + CHUNK_ROWS], geometry) for first in range(0, rows, CHUNK_ROWS)]
    pixels = np.concatenate([piece for piece, _ in pieces], axis=1)
    return StraightSpine(np.ascontiguousarray(pixels.transpose(1, 0, 2)), frames)


def slab_geometry(settings: StraightSpineSettings) -> CropSettings:
    """The crop settings of which the slab's rows are rows."""
    patches = PatchSettings.model_construct(size=settings.size, voxel_mm=settings.voxel_mm, bodies=False)
    return patch_geometry(CropSettings(), patches)


def bodies_line(canal: Canal, ahead_mm: float) -> Centreline:
    """A smooth curve in front of the canal, from its one end to the other."""
    length = canal.end_arc_mm - canal.start_arc_mm
    arcs = np.linspace(canal.start_arc_mm, canal.end_arc_mm, max(2, round(length / KNOTS_MM) + 1))
    points, tangents = canal.line.at(arcs)
    return fit_centreline(points - ahead_mm * _posterior(tangents), SMOOTHING_MM)


def slab_frames(line: Centreline, arcs_mm: AnyFloats) -> Floats:
    """Frames (R, 3, 3) at arc lengths (R,), columns always in the patient's sagittal plane."""
    points, tangents = line.at(arcs_mm)
    posterior = _posterior(tangents)
    return np.stack([points, posterior, np.cross(tangents, posterior)], axis=1)


def spine_bodies(
    crops: pd.DataFrame,
    landmarks: pd.DataFrame,
    frames: Floats | None,
    settings: StraightSpineSettings,
    no_slab: str = "no_canal",
) -> pd.DataFrame:
    """SPINE_BODIES of one scan's CROPS. landmarks: LANDMARKS of the scan. frames: of its slab, None where it has none.

    Not evaluable: what is not in CROPS, all where there is no slab (the reason `no_slab`), and a body of which the slab
    does not show WHOLE (`beyond_canal`).
    """
    rows = np.full((len(crops), 2), np.nan)
    found = crops[KEY].merge(landmarks, on=KEY, how="left", validate="one_to_one")
    if frames is not None:
        rows = body_rows(found, frames, settings)
    height = 0 if frames is None else len(frames)
    shown = shares(np.zeros(1, np.int64), height, rows)[0] >= WHOLE
    lost = np.where(shown, "", no_slab if frames is None else "beyond_canal")
    reason = np.where(crops["reason"] == "", lost, crops["reason"])
    table = crops.assign(top_row=rows[:, 0], bottom_row=rows[:, 1], evaluable=crops["evaluable"] & shown, reason=reason)
    table[BODY_HEIGHTS] = body_heights(found)
    return table[[name for name in SPINE_BODIES.columns if name in table]]


def body_heights(landmarks: pd.DataFrame) -> Floats:
    """Heights (n, 3) in mm of bodies of LANDMARKS in front, in the middle and behind; NaN where a point is unknown."""
    points = points_of(landmarks)
    heights: Floats = np.linalg.norm(points[:, SUPERIOR] - points[:, INFERIOR], axis=-1)
    return heights


def body_rows(landmarks: pd.DataFrame, frames: Floats, settings: StraightSpineSettings) -> Floats:
    """Rows (n, 2) of the upper and the lower end of each body of LANDMARKS; beyond the slab extrapolated.

    By the means of their six points, or the level's usual height where these are unknown. NaN where the body's centre
    lies beside the slab, or no row's plane meets it.
    """
    shape = (settings.size, len(frames), settings.size)
    points, centres = points_of(landmarks), centres_of(landmarks)
    known = np.isfinite(points).all(axis=(1, 2))
    ends = np.stack([points[:, SUPERIOR].mean(axis=1), points[:, INFERIOR].mean(axis=1)], axis=1)
    ends = np.where(known[:, None, None], ends, centres[:, None])
    rows = mm_to_crop(ends, frames, shape, settings.voxel_mm, settings.voxel_mm)[..., 1]
    middle = mm_to_crop(centres, frames, shape, settings.voxel_mm, settings.voxel_mm)
    half = np.array([_usual_height(int(label)) for label in landmarks["vertebra"]]) / 2 / settings.voxel_mm
    usual = middle[:, 1:2] + half[:, None] * [-1, 1]
    across = middle[:, [0, 2]]
    beside = ~((across >= 0) & (across <= settings.size - 1)).all(axis=1)  # or NaN
    found: Floats = np.where(known[:, None], rows, usual)
    found[beside] = np.nan
    return found


def _usual_height(label: int) -> float:
    """Height (mm) of a level's body, of the nearest level whose size is known."""
    sizes = level_sizes()
    wanted = T12 if label == T13 else label
    return float(sizes[min(sizes, key=lambda known: abs(known - wanted))].height_posterior_mm)


def _posterior(tangents: Floats) -> Floats:
    posterior = np.cross(tangents, TO_RIGHT)
    posterior /= np.linalg.norm(posterior, axis=-1, keepdims=True)
    return posterior
