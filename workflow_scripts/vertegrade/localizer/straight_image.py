"""The whole spine as one straight stack of parasagittal slices along its centreline, and the way back again."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from vertegrade.ct.volume import Volume
from vertegrade.settings.spine import CropSettings
from vertegrade.spine.centreline import Centreline
from vertegrade.spine.crop import sample_crop
from vertegrade.spine.straighten import TO_RIGHT, crop_to_mm, mm_to_crop

if TYPE_CHECKING:  # given landmarks need not wait for torch
    from torch import Tensor

# The geometry that the detector is trained for. Nine slabs reach over the width of a lumbar body to the ribs' heads.
GEOMETRY = CropSettings(size=96, pixel_mm=1.0, slices=9, slice_spacing_mm=6.0)
BEHIND_MM = 16.0  # the middle column lies so far behind the line: there is more to see behind the bodies than before
MARGIN_MM = 32.0  # that the detector's image reaches beyond the spine's ends
CHUNK_ROWS, ROW_MULTIPLE = 128, 16
WINDOW_MIDDLE_HU, WINDOW_HALF_HU = 350.0, 600.0
Hu = TypeVar("Hu", np.ndarray, "Tensor")


@dataclass(frozen=True, eq=False)
class StraightImage:
    """A straightened spine.

    pixels: int16 HU (S, H, W), slices from right to left, rows from head to feet, columns from front to back.
    inside: bool (H, W), which pixels of the middle slice lie in the scan. frames: float64 (H, 3, 3), see
    docs/design/architecture.md. geometry: pixel and slice distances.
    """

    pixels: np.ndarray
    inside: np.ndarray
    frames: np.ndarray
    geometry: CropSettings

    def to_mm(self, points: np.ndarray) -> np.ndarray:
        """RAS mm (..., 3) of points (..., 3) given as (slice, row, column), fractions allowed."""
        slices, rows, columns = self.pixels.shape
        shape = (slices, rows, columns)
        return crop_to_mm(points, self.frames, shape, self.geometry.pixel_mm, self.geometry.slice_spacing_mm)

    def to_pixels(self, points_mm: np.ndarray) -> np.ndarray:
        """(slice, row, column), float64 (..., 3), of RAS points (..., 3); NaN where no row's plane meets a point."""
        slices, rows, columns = self.pixels.shape
        shape = (slices, rows, columns)
        return mm_to_crop(points_mm, self.frames, shape, self.geometry.pixel_mm, self.geometry.slice_spacing_mm)


def windowed(hu: Hu) -> Hu:
    """What networks see of sagittal images: HU to -1..1, from fat to dense cortex; metal and air are cut off."""
    return ((hu - WINDOW_MIDDLE_HU) / WINDOW_HALF_HU).clip(-1, 1)


def straight_image(
    volume: Volume, line: Centreline, start_arc_mm: float, end_arc_mm: float, geometry: CropSettings = GEOMETRY
) -> StraightImage:
    """The spine between two arc lengths of its centreline, straightened. H is a multiple of ROW_MULTIPLE.

    Rows are `geometry.pixel_mm` apart along the line, which runs through the middle slice, BEHIND_MM before the middle
    column. Pixels are means over their cells (spine/crop.py `sample_crop`); -1024 outside the scan.
    ValueError: the end does not lie below the start.
    """
    if end_arc_mm <= start_arc_mm:
        raise ValueError(f"the spine would end ({end_arc_mm:.0f} mm) before it starts ({start_arc_mm:.0f} mm)")
    rows = int(np.ceil((end_arc_mm - start_arc_mm) / geometry.pixel_mm))
    rows += -rows % ROW_MULTIPLE
    frames = sagittal_frames(line, start_arc_mm + np.arange(rows) * geometry.pixel_mm)
    # Long spines are sampled in pieces, so that memory does not grow with them.
    pieces = [sample_crop(volume, frames[first : first + CHUNK_ROWS], geometry) for first in range(0, rows, CHUNK_ROWS)]
    pixels = np.concatenate([piece for piece, _ in pieces], axis=1)
    inside = np.concatenate([piece[geometry.slices // 2] for _, piece in pieces], axis=0)
    return StraightImage(pixels, inside, frames, geometry)


def sagittal_frames(line: Centreline, arcs_mm: np.ndarray) -> np.ndarray:
    """Frames (H, 3, 3) at arc lengths (H,), columns always in the patient's sagittal plane: no drift along the spine.

    A scoliosis twists such rows against each other a little (the way of neuro-ml/straighten, used by Zakharov 2022);
    nothing is measured along them: points go back to the patient first.
    """
    points, tangents = line.at(arcs_mm)
    posterior = np.cross(tangents, TO_RIGHT)
    posterior /= np.linalg.norm(posterior, axis=-1, keepdims=True)
    left = np.cross(tangents, posterior)
    frames: np.ndarray = np.stack([points + BEHIND_MM * posterior, posterior, left], axis=1)
    return frames
