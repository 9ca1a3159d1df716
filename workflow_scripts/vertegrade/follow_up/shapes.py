"""What a vertebra is told by in two scans of one patient: logarithms of its lengths, from its six points."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vertegrade.arrays import Floats
from vertegrade.levels import LABEL_OF, craniocaudal_rank
from vertegrade.spine.heights import column_heights
from vertegrade.tables import LANDMARKS, NOT_GRADED, POINTS, centres_of, check_table, doubt_of, points_of

# Lengths of a vertebra: three heights, depth at either endplate, and the distance of its centre to that of the next
# one below. They are columns of `Spine.log_lengths`.
LENGTHS = ("anterior", "middle", "posterior", "depth_superior", "depth_inferior", "to_next")


@dataclass(frozen=True, eq=False)
class Spine:
    """The sound vertebrae of a scan, head to feet.

    labels: (N,) VerSe labels. places: (N,) their numbers along the spine by these names, one apart where neighbours;
    T13 counts where it is there. log_lengths: (N, 6) of LENGTHS in mm, NaN where unknown. sure: probability that the
    names are right.
    """

    labels: NDArray[np.int64]
    places: NDArray[np.int64]
    log_lengths: Floats
    sure: float


def spine_of(landmarks: pd.DataFrame) -> Spine:
    """The spine of one scan's LANDMARKS; vertebrae that are neither evaluable nor `not_graded` are left out."""
    check_table(landmarks, LANDMARKS, "landmarks of a scan")
    sound = landmarks[landmarks["evaluable"] | (landmarks["reason"] == NOT_GRADED)]
    sound = sound.sort_values("vertebra", key=lambda labels: labels.map(craniocaudal_rank), kind="stable")
    labels = sound["vertebra"].to_numpy(np.int64)
    places = _places(labels)
    points, centres = points_of(sound), centres_of(sound)
    lengths = np.full((len(labels), len(LENGTHS)), np.nan)
    lengths[:, :3] = column_heights(points)
    for column, end in ((3, "superior"), (4, "inferior")):
        front, back = (POINTS.index(f"{name}_{end}") for name in ("anterior", "posterior"))
        lengths[:, column] = np.linalg.norm(points[:, front] - points[:, back], axis=1)
    next_below = np.flatnonzero(np.diff(places) == 1)
    lengths[next_below, 5] = np.linalg.norm(centres[next_below] - centres[next_below + 1], axis=1)
    confidence = doubt_of(sound)["label_confidence"].to_numpy(np.float64)
    sure = float(np.nanmean(confidence)) if np.isfinite(confidence).any() else 1.0
    return Spine(labels, places, np.log(np.where(lengths > 0, lengths, np.nan)), sure)


def _places(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Numbers along the spine (N,) of labels (N,): those of a usual spine, one more below a T13."""
    extra, first_lumbar = LABEL_OF["T13"], LABEL_OF["L1"]
    below = (labels != extra) & (labels >= first_lumbar)
    return np.where(labels == extra, first_lumbar, labels + (below & (extra in labels)))
