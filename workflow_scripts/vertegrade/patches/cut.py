"""3D patches of a scan: cubes of isotropic voxels around its vertebrae, straightened as the crops are.

A patch is a crop with as many slices as rows and columns, all of one width: `spine/crop.py` samples it along
`spine/straighten.py`'s frames. So its axes are those of a crop: slices from the patient's right to left, rows from
head to feet, columns from front to back.
"""

import numpy as np
import pandas as pd

from vertegrade.ct.volume import Volume
from vertegrade.patches.bodies import bodies_of, labelled
from vertegrade.settings import CropSettings
from vertegrade.settings.patches import PatchSettings
from vertegrade.spine.centreline import fit_centreline
from vertegrade.spine.crop import crop_places, sample_crop, sound_vertebrae
from vertegrade.spine.straighten import crop_frames
from vertegrade.tables import centres_of


def patch_shape(settings: PatchSettings) -> tuple[int, int, int, int]:
    """(channels, slices, rows, columns) of a patch."""
    return 1 + settings.bodies, settings.size, settings.size, settings.size


def patch_geometry(crop: CropSettings, settings: PatchSettings) -> CropSettings:
    """The crop settings of which a patch is the crop; not for configs, which allow fewer slices."""
    return crop.model_construct(
        size=settings.size,
        slices=settings.size,
        pixel_mm=settings.voxel_mm,
        slice_spacing_mm=settings.voxel_mm,
        smoothing_mm=crop.smoothing_mm,
    )


def cut_patches(
    volume: Volume, landmarks: pd.DataFrame, crops: pd.DataFrame, crop: CropSettings, settings: PatchSettings
) -> tuple[np.ndarray, list[float]]:
    """Patches int16 (N, C, S, H, W) of the vertebrae of one scan's CROPS, in its order, and their share in the scan.

    landmarks: LANDMARKS of the scan. The first channel is HU, -1024 outside the scan. With `settings.bodies` the second
    one has the VerSe label of the body in which a voxel lies. Both have the same frames as the crops.
    """
    geometry = patch_geometry(crop, settings)
    through = fit_centreline(centres_of(sound_vertebrae(landmarks)), crop.smoothing_mm)
    frames = crop_frames(through, centres_of(landmarks), settings.size, settings.voxel_mm)
    bodies = bodies_of(landmarks, frames) if settings.bodies else []
    place_of = {int(label): place for place, label in enumerate(landmarks["vertebra"])}
    patches = np.empty((len(crops), *patch_shape(settings)), np.int16)
    shares = []
    for number, label in enumerate(crops["vertebra"]):
        frame = frames[place_of[int(label)]]
        patches[number, 0], inside = sample_crop(volume, frame, geometry)
        if settings.bodies:
            patches[number, 1] = labelled(bodies, crop_places(frame, geometry))
        shares.append(float(inside.mean()))
    return patches, shares
