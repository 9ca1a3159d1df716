"""Heights of a vertebra as the refiner sees them in an image of it: a crop, or what a decoder drew."""

import numpy as np
from torch import nn

from vertegrade.arrays import Floats
from vertegrade.ct.volume import Volume
from vertegrade.localizer.refiner.look import LOOK
from vertegrade.localizer.refiner.refine import refined_each
from vertegrade.spine.heights import column_heights


def heights_in_images(images: np.ndarray, points: Floats, pixel_mm: float, network: nn.Module, device: str) -> Floats:
    """Anterior, middle and posterior heights (N, 3) in mm of the bodies in mid-sagittal images (N, H, W), HU.

    points: (N, 6, 2) where to look first: (row, column) of six points, in the order of tables.POINTS. Rows go down,
    columns to the back. An image has no width, so all the refiner's slices see the same.
    """
    volumes = [_flat_volume(image, pixel_mm) for image in images]
    sides = np.array(images.shape[1:]) - 1
    places = np.concatenate([np.zeros((*points.shape[:2], 1)), (sides - points)[..., ::-1] * pixel_mm], axis=2)
    found, _ = refined_each(volumes, places, network, device)
    return column_heights(found)


def _flat_volume(image: np.ndarray, pixel_mm: float) -> Volume:
    """A volume that shows one image (H, W) in all its sagittal slices, the middle one at 0 mm; RAS."""
    count = LOOK.slices + 2
    turned = image.T[::-1, ::-1].astype(np.int16)
    affine = np.diag([LOOK.slice_spacing_mm, pixel_mm, pixel_mm, 1.0])
    affine[0, 3] = -(count - 1) / 2 * LOOK.slice_spacing_mm
    return Volume(np.ascontiguousarray(np.broadcast_to(turned, (count, *turned.shape))), affine)
