"""Six points of each vertebra from close looks at it."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from vertegrade.ct.volume import Volume
from vertegrade.localizer.refiner.look import LOOK, body_axes, body_frames
from vertegrade.localizer.straight_image import windowed
from vertegrade.spine.crop import sample_crop
from vertegrade.spine.straighten import LEFT, POSTERIOR

LOOKS = 2  # the second look is centred and turned by what the first one found
LARGEST_CORRECTION_MM = 8.0  # a refiner that moves a body further has slipped to a neighbour


def refined(volume: Volume, points_mm: np.ndarray, network: nn.Module, device: str) -> tuple[np.ndarray, np.ndarray]:
    """Better points (m, 6, 3) for rough ones, RAS mm, and the expected error (m, 6) of each along the height, mm.

    Each vertebra is looked at in its own flat mid-sagittal plane, so that nothing is bent. The result is the mean with
    that of the look with left and right swapped. network: a RefinerNetwork in evaluation mode on `device`.
    """
    return refined_each([volume] * len(points_mm), points_mm, network, device)


def refined_each(
    volumes: Sequence[Volume], points_mm: np.ndarray, network: nn.Module, device: str
) -> tuple[np.ndarray, np.ndarray]:
    """The same, each vertebra in a volume of its own."""
    if not len(points_mm):
        return points_mm, np.zeros(points_mm.shape[:2])
    for _ in range(LOOKS):
        poses = [body_axes(points) for points in points_mm]
        frames = [body_frames(*pose) for pose in poses]
        looks = np.stack([sample_crop(*of, LOOK)[0] for of in zip(volumes, frames, strict=True)]).astype(np.float32)
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
