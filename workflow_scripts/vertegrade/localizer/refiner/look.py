"""The refiner's close look at one vertebra: its geometry, and how it lies in the patient."""

import numpy as np

from vertegrade.settings.spine import CropSettings
from vertegrade.spine.straighten import LEFT, ORIGIN
from vertegrade.spine.straighten import POSTERIOR as BACK

LOOK = CropSettings(size=64, pixel_mm=0.75, slices=7, slice_spacing_mm=4.0)
SUPERIOR, INFERIOR = [0, 2, 4], [1, 3, 5]  # of tables.POINTS
ANTERIOR, POSTERIOR = [0, 1], [4, 5]


def body_axes(points_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Middle, unit vector down and unit vector to the left of a body, from its six points (6, 3), RAS mm."""
    down = points_mm[INFERIOR].mean(axis=0) - points_mm[SUPERIOR].mean(axis=0)
    back = points_mm[POSTERIOR].mean(axis=0) - points_mm[ANTERIOR].mean(axis=0)
    down = down / np.linalg.norm(down)
    left = np.cross(down, back)
    return points_mm.mean(axis=0), down, left / np.linalg.norm(left)


def body_frames(centre_mm: np.ndarray, down: np.ndarray, left: np.ndarray, geometry: CropSettings = LOOK) -> np.ndarray:
    """Frames (size, 3, 3) of a flat crop: rows along `down`, columns to the back, slices along `left` made upright.

    centre_mm, down, left: (3,), RAS; the vectors need no unit length and no right angle between them.
    """
    down = down / np.linalg.norm(down)
    left = left - (left @ down) * down
    left = left / np.linalg.norm(left)
    rows = (np.arange(geometry.size) - (geometry.size - 1) / 2) * geometry.pixel_mm
    frames = np.empty((geometry.size, 3, 3))
    frames[:, ORIGIN], frames[:, BACK], frames[:, LEFT] = centre_mm + rows[:, None] * down, np.cross(left, down), left
    return frames
