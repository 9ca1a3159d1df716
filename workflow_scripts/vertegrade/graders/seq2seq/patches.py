"""Which patches of a straight spine belong to which vertebrae: from grades of vertebrae to those of patches, and back.

A body belongs to the patch whose middle is nearest to its own. There it is seen as a whole, and a fractured neighbour
at the patch's edge changes nothing. A patch has the grade of the body that belongs to it, or none.
"""

import numpy as np

from vertegrade.arrays import Floats
from vertegrade.grading.rows import Whole
from vertegrade.tables import GRADES

UNKNOWN = -1
NOBODY = -1  # in place of a body's or a patch's number
WHOLE = 0.9  # share of its height from which a spine shows all of a vertebra


def patch_starts(rows: int, height: int, step: int, phase: int = 0) -> Whole:
    """First rows of the patches of a spine, from head to feet."""
    return np.arange(phase, max(rows - height, phase) + 1, step)


def shares(starts: Whole, height: int, ends: Floats) -> Floats:
    """Share (P, V) of each body's height that lies in each patch; ends: rows (V, 2) of bodies, NaN where unknown."""
    top, bottom = ends[:, 0], ends[:, 1]
    inside = np.minimum(bottom, starts[:, None] + height - 0.5) - np.maximum(top, starts[:, None] - 0.5)
    return np.nan_to_num(np.clip(inside / np.maximum(bottom - top, 1e-6), 0, 1))


def distances(starts: Whole, height: int, ends: Floats) -> Floats:
    """Rows (P, V) from each patch's middle down to each body's; infinite where the body's middle is not in the patch.

    ends: rows (V, 2) of bodies, NaN where unknown.
    """
    away = ends.mean(axis=1)[None] - (starts + (height - 1) / 2)[:, None]
    return np.where(np.abs(away) <= height / 2, away, np.inf)


def patches_of(away: Floats) -> Whole:
    """Number (V,) of the patch to which each body belongs, NOBODY where its middle is in none. away: `distances`."""
    return _nearest(np.abs(away).T)


def bodies_of(away: Floats) -> Whole:
    """Number (P,) of the body that belongs to each patch, NOBODY where none does. away: `distances`.

    The one nearest to the patch's middle where several do, as may be at the ends of a spine.
    """
    own = patches_of(away)[None] == np.arange(len(away))[:, None]
    return _nearest(np.where(own, np.abs(away), np.inf))


def _nearest(away: Floats) -> Whole:
    if not away.size:
        return np.full(len(away), NOBODY)
    found: Whole = np.where(np.isfinite(away).any(axis=1), away.argmin(axis=1), NOBODY)
    return found


def patch_grades(away: Floats, grade: Whole) -> Whole:
    """Grade (P,) of the body that belongs to each patch; UNKNOWN where none does. away: `distances`."""
    return np.append(grade, UNKNOWN)[bodies_of(away)]


def worst_grade(grade: Whole) -> int:
    """The worst of grades (V,); UNKNOWN where there are none, or where one that is not known may be worse."""
    worst = int(grade.max(initial=UNKNOWN))
    return UNKNOWN if (grade == UNKNOWN).any() and worst < GRADES[-1] else worst
