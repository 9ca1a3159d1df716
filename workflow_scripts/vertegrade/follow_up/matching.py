"""Which vertebra of a later scan is which of an earlier one, even where all names of one scan are off by one or two.

The names of a scan are right or wrong together: they are counted from one place. So the question is by how many levels
(-2 to 2) the names of the two scans differ, and the answer is that shift with which vertebrae that would be one and
the same look most alike. A vertebra keeps its depth for life, and its heights and the distance to the next one unless
it fractures, so each length has a chance to have changed. A length compared with that of the neighbour differs by
more than two measurements of one and the same do. Bayes' rule with the confidence in the names gives the probability.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vertegrade.arrays import Floats
from vertegrade.follow_up.shapes import Spine

SHIFTS = (-2, -1, 0, 1, 2)
# How the probability of unequal names is divided among the shifts.
UNEQUAL = np.array([0.1, 0.4, 0.0, 0.4, 0.1])
# Spread of the logarithm of a length (shapes.LENGTHS) between two measurements of one vertebra in which nothing
# happened, and between a vertebra and its neighbours. Chosen on training and validation patients of the demo: detected
# against true points with an error of 0.35 mm, half of them with a new fracture.
SAME, OTHER = np.array([0.035, 0.035, 0.03, 0.03, 0.03, 0.03]), 0.1
# Chance that a length changed: a fracture, a disc, a wrong point.
CHANGED = np.array([0.15, 0.15, 0.1, 0.05, 0.05, 0.15])
# The lengths of a vertebra are no independent witnesses, nor is one vertebra of its neighbour.
WEIGHT = 0.6
# Least and largest probability of equal names before the images are compared, whatever the confidence in the names:
# parts of a spine without sacrum or first rib are named with more confidence than they deserve.
NAMES_AGREE = (0.5, 0.9)


@dataclass(frozen=True, eq=False)
class Match:
    """The most probable matching of two scans.

    shift: what to add to a place of the later scan for that of the same vertebra in the earlier one. p: probability of
    the shift among SHIFTS; all of them in `all_p`. pairs: rows (n, 2) of the earlier and the later spine, head to feet.
    """

    shift: int
    p: float
    all_p: tuple[float, ...]
    pairs: NDArray[np.int64]


def match(before: Spine, after: Spine) -> Match:
    """The match of two scans of one patient; no pairs where they show no vertebra in common."""
    agree = float(np.clip(before.sure * after.sure, *NAMES_AGREE))
    prior = np.log(np.where(np.array(SHIFTS) == 0, agree, (1 - agree) * UNEQUAL))
    found = [pairs_at(before, after, shift) for shift in SHIFTS]
    evidence = np.array([_evidence(before, after, pairs) for pairs in found])
    log_p = prior + WEIGHT * evidence
    p = np.exp(log_p - log_p.max())
    p /= p.sum()
    best = int(p.argmax())
    return Match(SHIFTS[best], float(p[best]), tuple(map(float, p)), found[best])


def pairs_at(before: Spine, after: Spine, shift: int) -> NDArray[np.int64]:
    """Rows (n, 2) of the earlier and the later spine that are one vertebra if the names differ by `shift`."""
    _, first, second = np.intersect1d(before.places, after.places + shift, return_indices=True)
    return np.stack([first, second], axis=1)


def _evidence(before: Spine, after: Spine, pairs: NDArray[np.int64]) -> float:
    """Log odds that these are pairs of one vertebra each, rather than of neighbours; a changed length tells neither."""
    difference = after.log_lengths[pairs[:, 1]] - before.log_lengths[pairs[:, 0]]
    odds = (1 - CHANGED) * _density(difference, SAME) / _density(difference, OTHER) + CHANGED
    return float(np.nansum(np.log(odds)))


def _density(value: Floats, spread: Floats | float) -> Floats:
    density: Floats = np.exp(-0.5 * (value / spread) ** 2) / (np.sqrt(2 * np.pi) * spread)
    return density
