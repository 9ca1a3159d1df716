"""Which voxels of a patch lie in which vertebral body, drawn from six points per vertebra.

The outline is that of virtual_fractures/body.py: in front and behind a superellipse, as wide as the level's bodies
usually are at this depth, with endplates through the six points, dished as deep as the middle ones say. Where a
vertebra has no six points (centroids alone), a body of the level's usual size stands at its centre.
"""

import numpy as np
import pandas as pd

from vertegrade.arrays import Floats
from vertegrade.fractures.collapse import COLUMN
from vertegrade.spine.level_statistics import LevelSize, level_sizes
from vertegrade.spine.straighten import LEFT, POSTERIOR
from vertegrade.tables import centres_of, points_of
from vertegrade.virtual_fractures.body import INFERIOR, SUPERIOR, RealBody, body_of

T12, T13 = 19, 28


def bodies_of(landmarks: pd.DataFrame, frames: Floats) -> list[RealBody]:
    """The bodies of one scan's LANDMARKS; frames: (N, H, 3, 3) of their crops, in the same order."""
    bodies = []
    rows = zip(landmarks["vertebra"], points_of(landmarks), centres_of(landmarks), frames, strict=True)
    for label, points, centre, frame in rows:
        size = _size_of(int(label))
        known = points if np.isfinite(points).all() else _usual_points(centre, frame[len(frame) // 2], size)
        bodies.append(body_of(int(label), known, size))
    return bodies


def labelled(bodies: list[RealBody], places: Floats) -> np.ndarray:
    """VerSe label (int16) of the body in which each place (..., 3; RAS mm) lies, 0 where in none.

    Where two bodies overlap, which is an error of their points, the later one of the list counts.
    """
    labels = np.zeros(places.shape[:-1], np.int16)
    for body in bodies:
        centre, reach = body.pose[:3, 3], float(np.hypot(np.hypot(body.half_width, body.half_depth), np.ptp(body.ends)))
        near = np.linalg.norm(places - centre, axis=-1) <= reach
        right, anterior, up = ((places[near] - centre) @ body.pose[:3, :3]).T
        inside = (body.share(right, anterior) <= 1) & (up <= body.endplate(SUPERIOR, right, anterior))
        inside &= up >= body.endplate(INFERIOR, right, anterior)
        labels[near] = np.where(inside, np.int16(body.label), labels[near])
    return labels


def _size_of(label: int) -> LevelSize:
    """Size of a level; that of the nearest level whose size is known where its own is not (C1-C5, L6, T13)."""
    sizes = level_sizes()
    wanted = T12 if label == T13 else label
    return sizes[min(sizes, key=lambda known: abs(known - wanted))]


def _usual_points(centre: Floats, frame: Floats, size: LevelSize) -> Floats:
    """Six points (6, 3), in the order of tables.POINTS, of a body of usual size; frame: (3, 3) of its middle row."""
    up = -np.cross(frame[POSTERIOR], frame[LEFT])
    height = size.height_posterior_mm * np.array([size.ratio_anterior, size.ratio_middle, 1.0])
    ahead = size.depth_mm / 2 * COLUMN * np.array([1.0, 0.0, -1.0])
    columns = centre - ahead[:, None] * frame[POSTERIOR]
    half = height[:, None] / 2 * up
    return np.stack([columns + half, columns - half], axis=1).reshape(6, 3)
