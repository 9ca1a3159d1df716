"""The axis-aligned RAS grid that a phantom is drawn on, and boxes inside it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vertegrade.arrays import Floats32
from vertegrade.phantom.anatomy.curve import Pose

Box = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class Grid:
    """origin: RAS mm of voxel (0, 0, 0). shape: voxels to the right, anterior and superior. spacing: mm."""

    origin: NDArray[np.float64]
    shape: tuple[int, int, int]
    spacing: NDArray[np.float64]

    def axis(self, number: int) -> Floats32:
        """RAS coordinates (mm) along one axis."""
        return (self.origin[number] + self.spacing[number] * np.arange(self.shape[number])).astype(np.float32)

    def holds(self, points: NDArray[np.float64]) -> bool:
        """Whether all points (n, 3; RAS mm) lie in the grid's voxels."""
        place = (points - self.origin) / self.spacing
        return bool(np.all(place >= -0.5) and np.all(place <= np.array(self.shape) - 0.5))

    def box(self, points: NDArray[np.float64], margin: float) -> Box | None:
        """Voxels within margin (mm) of the bounding box of points (n, 3); None where the grid has none of them."""
        low = np.ceil((points.min(axis=0) - margin - self.origin) / self.spacing).astype(int).clip(min=0)
        high = np.floor((points.max(axis=0) + margin - self.origin) / self.spacing).astype(int) + 1
        high = np.minimum(high, self.shape)
        if np.any(high <= low):
            return None
        return slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2])

    def local(self, box: Box, pose: Pose) -> tuple[Floats32, Floats32, Floats32]:
        """Local coordinates (right, anterior, superior; mm) of a box's voxels, each [i, j, k]."""
        offsets = [self.axis(n)[box[n]].astype(np.float64) - pose.origin[n] for n in range(3)]
        x, y, z = (offset.astype(np.float32) for offset in offsets)
        axes = pose.axes.astype(np.float32)
        right, anterior, superior = ((row[0] * x)[:, None, None] + (row[1] * y)[:, None] + (row[2] * z) for row in axes)
        return right, anterior, superior
