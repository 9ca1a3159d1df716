"""Crops of one vertebra before and after a collapse in place: pairs that show what a loss of height changes.

Here nothing but the chosen body moves: its neighbours stay where they are, and the discs fill the room. So all that
differs between the two crops is the collapse. Scans with virtual fractures (scan.py), whose spine follows, are another
thing: they are meant to look like a patient's.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import ndimage

from vertegrade.arrays import Floats
from vertegrade.ct.volume import AIR_HU, Volume, mm_to_voxel
from vertegrade.fractures.collapse import draw_fracture
from vertegrade.settings.spine import CropSettings
from vertegrade.spine.crop import cell_offsets, crop_places
from vertegrade.spine.straighten import LEFT, POSTERIOR
from vertegrade.tables import SHAPES
from vertegrade.virtual_fractures.body import INFERIOR, SUPERIOR, RealBody, real_bodies
from vertegrade.virtual_fractures.collapse import Collapse, collapse
from vertegrade.virtual_fractures.draw import LAYER_MM, WAIST, candidates
from vertegrade.virtual_fractures.scan import MARROW_HU, MOST_HU
from vertegrade.virtual_fractures.spine import Link, sources

DRAWN = (0.10, 0.60)  # of the column that loses most, drawn evenly
MOST_SOUND_LOSS = 0.10  # a vertebra that is measured lower than this may not be intact


@dataclass(frozen=True, eq=False)
class CollapsedCrop:
    """A crop of a vertebra, as it is or collapsed. pixels: int16 HU (S, H, W).

    shape: one of SHAPES, or "" as it is. loss: fraction of its own height that each column (3,) lost, anterior to
    posterior.
    """

    vertebra: int
    shape: str
    loss: Floats
    pixels: np.ndarray


def collapsed_crops(
    rng: np.random.Generator,
    volume: Volume,
    landmarks: pd.DataFrame,
    measurements: pd.DataFrame,
    frames: dict[int, np.ndarray],
    settings: CropSettings,
    thickness_mm: float,
    most: int,
) -> list[CollapsedCrop]:
    """Up to `most` intact vertebrae of one scan, each as it is and collapsed once in every shape.

    landmarks, measurements: LANDMARKS and MEASUREMENTS of the scan. frames: (H, 3, 3) of the crops of its evaluable
    vertebrae, by label. Intact is what is measured so; no label is looked at. thickness_mm: of the slices.
    """
    intact = measurements["evaluable"] & (measurements["height_loss"] < MOST_SOUND_LOSS)
    bodies = real_bodies(landmarks)
    may = candidates(bodies, set(measurements.loc[intact, "vertebra"]) & set(frames))
    made: list[CollapsedCrop] = []
    for body in [may[n] for n in sorted(rng.permutation(len(may))[:most])]:
        of = (volume, frames[body.label], settings)
        made.append(CollapsedCrop(body.label, "", np.zeros(3), collapsed_crop(*of, bodies, None)))
        for shape in SHAPES:
            broken = _drawn(rng, body, shape, max(LAYER_MM, thickness_mm / 2))
            ends = broken.new_ends()
            lost = 1 - (ends[SUPERIOR] - ends[INFERIOR]) / body.heights
            made.append(CollapsedCrop(body.label, shape, lost, collapsed_crop(*of, bodies, broken)))
    return made


def _drawn(rng: np.random.Generator, body: RealBody, shape: str, layer_mm: float) -> Collapse:
    fracture = draw_fracture(rng, body.half_width, body.half_depth, WAIST, float(rng.uniform(*DRAWN)), shape)
    return collapse(body, fracture, layer_mm, squeezed=float(rng.uniform(0.4, 1)), density=float(rng.uniform(0.3, 1)))


def collapsed_crop(
    volume: Volume, frames: np.ndarray, settings: CropSettings, bodies: list[RealBody], broken: Collapse | None
) -> np.ndarray:
    """Pixels int16 (S, H, W) of the crop with frames (H, 3, 3) after one of the bodies collapsed in place.

    broken: the collapse, or None for the crop as it is, sampled in the same way. Like `sample_crop`, each pixel is the
    mean over its cell, and -1024 outside the scan; the cell is not squeezed itself, which is seen only next to an
    endplate.
    """
    places = crop_places(frames, settings)
    shape = places.shape[:3]
    chain = [Link(body, body.pose, broken if broken and body is broken.body else None) for body in bodies]
    moved, dense = sources(chain, places.reshape(-1, 3).astype(np.float32))
    down = np.cross(frames[:, POSTERIOR], frames[:, LEFT])
    axes = [np.broadcast_to(axis[:, None], (*shape, 3)) for axis in (frames[:, LEFT], frames[:, POSTERIOR], down)]
    around = [
        mm_to_voxel(volume.affine, axis.reshape(-1, 3)) - mm_to_voxel(volume.affine, np.zeros(3)) for axis in axes
    ]
    middle = mm_to_voxel(volume.affine, moved)
    offsets = cell_offsets(volume, settings)
    total = np.zeros(len(moved))
    for left, back, below in ((a, b, c) for a in offsets[0] for b in offsets[1] for c in offsets[2]):
        voxels = middle + left * around[0] + back * around[1] + below * around[2]
        total += ndimage.map_coordinates(volume.hu, voxels.T, np.float32, order=1, mode="nearest")
    hu = total / np.prod([len(offset) for offset in offsets])
    hu = np.where(dense == 1, hu, MARROW_HU + (hu - MARROW_HU) * dense)
    beyond = ((middle < -0.5) | (middle > np.array(volume.hu.shape) - 0.5)).any(axis=1)
    hu[beyond] = AIR_HU
    return np.rint(hu).clip(AIR_HU, MOST_HU).astype(np.int16).reshape(shape)
