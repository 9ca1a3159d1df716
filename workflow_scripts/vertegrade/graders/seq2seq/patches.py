"""Which patches of a straight spine show which vertebrae: from grades of vertebrae to those of patches, and back.

A patch is as bad as the worst vertebra that it shows. So a vertebra is no worse than any patch that shows all of it:
P(grade <= g) of a vertebra is at least that of each of these patches, and the largest of them is taken.
"""

import numpy as np

from vertegrade.arrays import Floats
from vertegrade.grading.rows import Whole
from vertegrade.tables import GRADES

UNKNOWN = -1
WHOLE = 0.9  # share of its height from which a patch shows all of a vertebra
A_LITTLE = 0.1  # share of its height up to which a patch shows nothing of it
LEAST_P = 1e-6


def patch_starts(rows: int, height: int, step: int, phase: int = 0) -> Whole:
    """First rows of the patches of a spine, from head to feet."""
    return np.arange(phase, max(rows - height, phase) + 1, step)


def shares(starts: Whole, height: int, ends: Floats) -> Floats:
    """Share (P, V) of each body's height that lies in each patch; ends: rows (V, 2) of bodies, NaN where unknown."""
    top, bottom = ends[:, 0], ends[:, 1]
    inside = np.minimum(bottom, starts[:, None] + height - 0.5) - np.maximum(top, starts[:, None] - 0.5)
    return np.nan_to_num(np.clip(inside / np.maximum(bottom - top, 1e-6), 0, 1))


def patch_grades(share: Floats, grade: Whole, least: float) -> Whole:
    """Grade (P,) of each patch: that of the worst vertebra of whose height it shows `least`; UNKNOWN where unclear.

    Unclear: no graded vertebra; or one that is worse, or that has no grade, is cut off by the patch's edge, or shown
    and without a grade. grade: (V,).
    """
    shown, touched = share >= least, share > A_LITTLE
    worst = np.where(shown & (grade >= 0), grade, UNKNOWN).max(axis=1, initial=UNKNOWN)
    worse = (touched & (grade > worst[:, None])).any(axis=1)
    ungraded = (touched & (grade < 0)).any(axis=1) & (worst < GRADES[-1])
    return np.where(worse | ungraded, UNKNOWN, worst)


def vertebra_probabilities(p_patch: Floats, share: Floats) -> Floats:
    """Grade probabilities (V, 4) of vertebrae, from those of patches (P, 4) and their shares (P, V).

    Of a vertebra that no patch shows as a whole, the patches count that show most of it. NaN where none
    shows any of it.
    """
    up_to = np.cumsum(p_patch, axis=1)
    enough = share >= np.minimum(WHOLE, share.max(axis=0))[None]
    best = np.where(enough[:, :, None], up_to[:, None], 0.0).max(axis=0)
    p = np.diff(best, axis=1, prepend=0.0)
    p = np.maximum(p, LEAST_P)
    p[share.max(axis=0) <= A_LITTLE] = np.nan
    return p / p.sum(axis=1, keepdims=True)
