"""The trunk along the spine: where skin and chest wall lie at each height. What tissues and outer bones hang on.

The patient's frame is the world turned about the long axis by `patient.look.turn`; u runs to the patient's right of the
spine, v in front of it (mm).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage

from vertegrade.arrays import AnyFloats
from vertegrade.levels import LABEL_OF, craniocaudal_rank
from vertegrade.phantom.anatomy.person import SACRAL, Patient

# By rank along the spine (C3 3, T1 8, L5 24, S1 25, S5 29, thighs 33), for a lean person of mean size (mm):
_RANKS = [0, 5, 6.8, 8, 9.5, 12, 15.5, 19.5, 22.5, 24, 26, 29, 33]
_HALF_WIDTH = [62, 60, 80, 165, 178, 163, 146, 138, 140, 150, 163, 166, 160]  # of the skin
_FRONT = [38, 42, 46, 56, 72, 102, 126, 126, 112, 106, 106, 100, 92]  # of the wall's inside, before the bodies
_BEHIND = [48, 48, 48, 46, 44, 40, 40, 48, 56, 60, 62, 62, 75]  # skin behind the bodies' posterior wall
_CHEST_RANKS = [7, 8, 10, 15, 19, 21]
_CHEST_WIDTH = [40, 62, 95, 125, 120, 118]  # of the ribs' ellipse, half
_CHEST_DEPTH = [35, 47, 69, 79, 71, 68]  # half
LATTICE_MM = 5.0


@dataclass(frozen=True, eq=False)
class Course:
    """Each an array over heights z (mm): the spine's place and size, its rank, and the trunk around it.

    x, y: a body's centre. front: v of the body wall's inside. back: v of the skin behind (negative). half: half width
    of the skin. chest_wide, chest_deep: half axes of the ribs' ellipse, chest_mid: v of its centre.
    """

    x: AnyFloats
    y: AnyFloats
    wide: AnyFloats
    deep: AnyFloats
    rank: AnyFloats
    front: AnyFloats
    back: AnyFloats
    half: AnyFloats
    chest_wide: AnyFloats
    chest_deep: AnyFloats
    chest_mid: AnyFloats


class Trunk:
    """The whole patient on a lattice of heights, so that every scan of a patient shows the same."""

    def __init__(self, patient: Patient) -> None:
        self.patient = patient
        self.fat = patient.person.fat_mm
        self.size = patient.person.size
        rng = np.random.default_rng([patient.seed, 3])
        # HU of blood: enhanced in 60 % of the scans.
        self.blood = float(rng.uniform(35, 50) if rng.random() < 0.4 else rng.uniform(90, 350))

    def frame(self, x: AnyFloats, y: AnyFloats) -> tuple[AnyFloats, AnyFloats]:
        """World to patient's frame."""
        turn = self.patient.look.turn
        if turn == 0:
            return x, y
        cosine, sine = np.float32(np.cos(turn)), np.float32(np.sin(turn))
        return cosine * x + sine * y, cosine * y - sine * x

    @cached_property
    def _lattice(self) -> tuple[AnyFloats, Course]:
        spine = sorted(self.patient.vertebrae, key=lambda v: v.pose.origin[2])
        below = sum(v.label == SACRAL for v in spine)
        ranks = [craniocaudal_rank(v.label) for v in spine[below:]]
        ranks = [LABEL_OF["L5"] + float(n) for n in range(below, 0, -1)] + [min(rank, 24.5) for rank in ranks]
        origins = np.array([v.pose.origin for v in spine])
        places = np.stack(self.frame(origins[:, 0], origins[:, 1]), axis=1)
        low, high = origins[0, 2], origins[-1, 2]
        z = np.arange(np.floor(low / LATTICE_MM) - 60, np.ceil(high / LATTICE_MM) + 61) * LATTICE_MM
        rank = np.interp(z, origins[:, 2], ranks)
        rank += np.where(z < low, (low - z) / 30, 0) - np.where(z > high, (z - high) / 17, 0)
        x, y, wide, deep = (
            np.interp(z, origins[:, 2], values)
            for values in (
                places[:, 0],
                places[:, 1],
                [v.body.half_width for v in spine],
                [v.body.half_depth for v in spine],
            )
        )
        sacral = float(y[np.argmin(np.abs(rank - 25.0))])
        ahead = np.where(rank > 25, np.maximum(sacral, y), y)
        behind = np.interp(rank, _RANKS, _BEHIND) * self.size + deep + 0.5 * self.fat
        front = ndimage.gaussian_filter1d(ahead + np.interp(rank, _RANKS, _FRONT) * self.size + 0.3 * self.fat, 5)
        back = ndimage.gaussian_filter1d(np.minimum(y, np.where(rank > 25, sacral - 40, y)) - behind, 5)
        chest = (np.interp(rank, _CHEST_RANKS, table) * self.size for table in (_CHEST_WIDTH, _CHEST_DEPTH))
        chest_wide, chest_deep = chest
        course = Course(
            x=x,
            y=y,
            wide=wide,
            deep=deep,
            rank=rank,
            front=front - y,
            back=back - y,
            half=np.interp(rank, _RANKS, _HALF_WIDTH) * self.size + 0.8 * self.fat - 8,
            chest_wide=chest_wide,
            chest_deep=chest_deep,
            chest_mid=chest_deep - 0.9 * deep - 23 * self.size,
        )
        return z, course

    def course(self, z: AnyFloats) -> Course:
        """The course at heights z (k,)."""
        heights, whole = self._lattice
        values = {name: np.interp(z, heights, table).astype(np.float32) for name, table in vars(whole).items()}
        return Course(**values)

    def height_of(self, rank: float) -> float:
        """Height (mm) at which the spine has a rank."""
        heights, whole = self._lattice
        return float(np.interp(-rank, -whole.rank, heights))

    def lowest(self) -> float:
        """y (patient's frame, mm) of the hindmost skin."""
        _, whole = self._lattice
        return float((whole.y + whole.back).min())
