"""A vertebra of a real scan as its six points show it: axes, the ends of its columns, its endplates and outline."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from vertegrade.arrays import AnyFloats, Floats
from vertegrade.fractures.collapse import COLUMN
from vertegrade.levels import craniocaudal_rank
from vertegrade.spine.level_statistics import LevelSize, level_sizes
from vertegrade.tables import points_of

# Exponents of the outline, a superellipse: rounded in front, flatter towards the canal.
FRONT, BACK = 2.2, 3.2
RIM = 0.85  # inside this share of the outline's radius an endplate is dished
SUPERIOR, INFERIOR = 0, 1
ANTERIOR, MIDDLE, POSTERIOR = range(3)


@dataclass(frozen=True, eq=False)
class RealBody:
    """A vertebral body in its own axes (right, anterior, superior; mm), origin in the middle of its six points.

    pose: 4x4 from these axes to RAS mm. columns: anterior coordinate (3,) of the anterior, middle and posterior column.
    ends: superior coordinate (2, 3) of the superior and inferior ends of the columns. Half width and depth as the
    phantom's: of a body whose anterior and posterior columns lie at COLUMN of its half depth.
    """

    label: int
    pose: Floats
    columns: Floats
    ends: Floats
    half_width: float
    half_depth: float
    middle: float

    @property
    def heights(self) -> Floats:
        """Heights (3,) in mm of the columns, anterior to posterior."""
        heights: Floats = self.ends[SUPERIOR] - self.ends[INFERIOR]
        return heights

    def share(self, right: AnyFloats, anterior: AnyFloats) -> AnyFloats:
        """Distance from the axis over the outline's radius: 1 on the wall."""
        ahead = anterior - self.middle
        across, along = np.abs(right) / self.half_width, np.abs(ahead) / self.half_depth
        front = (across**FRONT + along**FRONT) ** (1 / FRONT)
        back = (across**BACK + along**BACK) ** (1 / BACK)
        return np.where(ahead > 0, front, back)

    def rim(self, end: int, anterior: AnyFloats) -> AnyFloats:
        """Height (mm) of the line through the anterior and posterior end of an endplate; beyond them it goes on."""
        front, back = self.columns[ANTERIOR], self.columns[POSTERIOR]
        slope = (self.ends[end, ANTERIOR] - self.ends[end, POSTERIOR]) / (front - back)
        height: AnyFloats = self.ends[end, POSTERIOR] + slope * (anterior - back)
        return height

    def endplate(self, end: int, right: AnyFloats, anterior: AnyFloats) -> AnyFloats:
        """Height (mm) of an endplate: its rim's line, dished inside the rim as deep as the middle column says."""
        sag = self.ends[end, MIDDLE] - self.rim(end, self.columns[MIDDLE : MIDDLE + 1])[0]
        dish = np.clip(1 - (self.share(right, anterior) / RIM) ** 2, 0, 1)
        height: AnyFloats = self.rim(end, anterior) + sag * dish
        return height

    def points(self, ends: Floats) -> Floats:
        """Six points (6, 3) in the body's axes, in the order of tables.POINTS, of column ends (2, 3) in mm."""
        points = np.zeros((6, 3))
        points[:, 1] = np.repeat(self.columns, 2)
        points[:, 2] = ends.T.ravel()
        return points


def real_bodies(landmarks: pd.DataFrame) -> list[RealBody]:
    """Bodies of one scan's LANDMARKS that have six points, from the feet up."""
    rows = landmarks.sort_values("vertebra", key=lambda labels: -labels.map(craniocaudal_rank))
    points = points_of(rows)
    return [
        body_of(int(label), six, level_sizes()[int(label)])
        for label, six in zip(rows["vertebra"], points, strict=True)
        if np.isfinite(six).all() and int(label) in level_sizes()
    ]


def body_of(label: int, points: Floats, size: LevelSize) -> RealBody:
    """The body of six points (6, 3), RAS mm: superior along its columns, anterior towards their front.

    size: of its level, which says how wide a body of this depth is.
    """
    tops, bottoms = points[0::2], points[1::2]
    superior = (tops - bottoms).sum(axis=0)
    superior /= np.linalg.norm(superior)
    ahead = (tops + bottoms)[ANTERIOR] - (tops + bottoms)[POSTERIOR]
    anterior = ahead - (ahead @ superior) * superior
    anterior /= np.linalg.norm(anterior)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([np.cross(anterior, superior), anterior, superior], axis=1)
    pose[:3, 3] = points.mean(axis=0)
    local = (points - pose[:3, 3]) @ pose[:3, :3]
    columns = (local[0::2, 1] + local[1::2, 1]) / 2
    half_depth = (columns[ANTERIOR] - columns[POSTERIOR]) / 2 / COLUMN
    return RealBody(
        label,
        pose,
        columns,
        np.stack([local[0::2, 2], local[1::2, 2]]),
        half_depth * size.width_mm / size.depth_mm,
        half_depth,
        float(columns[ANTERIOR] + columns[POSTERIOR]) / 2,
    )
