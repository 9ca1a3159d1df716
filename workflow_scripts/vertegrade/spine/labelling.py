"""One consistent labelling of a scan's vertebrae: dynamic programming over detections, level scores and spacing.

A hidden Markov chain along the spine. Its states are the levels. A detection is a level's vertebra or a false alarm,
and a level may be missed. T13, L6, a missing T12 or L5 are separate paths. Which vertebra is first is not known.
The most probable labelling comes from Viterbi's algorithm, each label's probability from forward-backward on the same
model (Rabiner 1989, Proc IEEE 77:257), over a few sizes of the patient.
"""

from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from vertegrade.arrays import Floats
from vertegrade.levels import LABEL_OF, SACRUM
from vertegrade.spine.level_statistics import PERSON_SIZE, level_sizes

Whole = NDArray[np.int64]

FALSE_ALARM = 0
# All levels from head to feet.
SPINE_LEVELS = (*range(1, 20), LABEL_OF["T13"], *range(20, SACRUM + 1))

# Probability that a person has the variant. Numbers of vertebrae vary in about one in ten (transitional lumbosacral
# vertebrae alone: 4-30 %, Konin 2010, AJNR 31:1778); how they divide is a choice, not a measurement.
NO_T12, T13, L6, NO_L5 = 0.02, 0.02, 0.05, 0.02
# Probability that the detector misses a vertebra, and how many it may miss in a row.
MISSED, MOST_MISSED = 0.02, 6
# Weight of the level scores: a network's errors at neighbours are alike, so they are not independent evidence.
SCORE_WEIGHT = 0.5
# Least probability of a level whatever the network says, and least and largest confidence in a detection.
SCORE_FLOOR, CONFIDENCE_RANGE = 1e-3, (0.02, 0.98)
# Spread of a step between body centres: relative between vertebrae (discs, fractures), and the detector's in mm.
STEP_SPREAD, DETECTION_MM = 0.09, 1.5
# A false alarm lies anywhere in a stretch of this length (mm); so does, seldom, a true vertebra (badly detected).
FREE_MM, FREE_SHARE = 40.0, 0.02
# Sizes of the patient that are tried, in standard deviations of people.
SIZES = np.linspace(-2.4, 2.4, 7)
# What level_statistics lacks, in mm: steps below C1-C5 (half the adult cervical column over its vertebrae, rounded)
# and from the top of the sacrum to the centre of S1.
CERVICAL_STEP_MM = {1: 15.0, 2: 19.0, 3: 17.5, 4: 17.5, 5: 17.5}
SACRUM_HALF_MM = 13.5


@dataclass(frozen=True, eq=False)
class Labelling:
    """Labels of N detections, head to feet.

    labels: (N,) VerSe labels, FALSE_ALARM (0) for what is no vertebra. confidence: (N,) probability of that label (or
    of the false alarm). posterior: (N, K) probability of each level; the rest to 1 is that of the false alarm.
    scan_confidence: expected share of right labels among the vertebrae, 0 where there is none.
    """

    labels: Whole
    confidence: Floats
    posterior: Floats
    scan_confidence: float


def label_vertebrae(
    level_log_p: Floats, arcs_mm: Floats, confidence: Floats, levels: tuple[int, ...] = SPINE_LEVELS
) -> Labelling:
    """The most probable labels of one scan's detections.

    level_log_p: (N, K) log probabilities over `levels` (the columns: some or all of SPINE_LEVELS, in any order).
    arcs_mm: (N,) places along the centreline, rising from head to feet. confidence: (N,) probability that a detection
    is a vertebra, 0-1. ValueError: shapes, orders or numbers that contradict this.
    """
    arcs, sure = np.asarray(arcs_mm, np.float64), np.asarray(confidence, np.float64)
    _check(level_log_p, arcs, sure, levels)
    if not len(arcs):
        return Labelling(np.zeros(0, np.int64), np.zeros(0), np.zeros((0, len(levels))), 0.0)
    sure = np.clip(sure, *CONFIDENCE_RANGE)
    share = np.exp(level_log_p - logsumexp(level_log_p, axis=1, keepdims=True))
    # Against a uniform score, so that a detection without information on its level is neither kept nor dropped for it.
    score = np.log((1 - SCORE_FLOOR) * share * len(levels) + SCORE_FLOOR)
    kept = np.log(sure)[:, None] + SCORE_WEIGHT * score
    chains = [
        _Chain(kept, np.log(1 - sure), _step_log_odds(arcs, levels, float(np.exp(PERSON_SIZE * size))))
        for size in SIZES
    ]
    log_size = -0.5 * SIZES**2 - logsumexp(-0.5 * SIZES**2)
    evidence = log_size + np.array([chain.log_evidence for chain in chains])
    weight = np.exp(evidence - logsumexp(evidence))
    posterior = np.einsum("s,sna->na", weight, np.stack([chain.posterior() for chain in chains]))
    paths = [chain.best_path() for chain in chains]
    best = paths[int(np.argmax(log_size + [log_p for log_p, _ in paths]))][1]
    chosen = np.where(best < 0, 1 - posterior.sum(axis=1), posterior[np.arange(len(arcs)), best])
    labels = np.where(best < 0, FALSE_ALARM, np.array(levels)[best])
    mean = float(chosen[best >= 0].mean()) if (best >= 0).any() else 0.0
    return Labelling(labels, np.clip(chosen, 0.0, 1.0), posterior, mean)


def _check(level_log_p: Floats, arcs: Floats, sure: Floats, levels: tuple[int, ...]) -> None:
    if len(set(levels)) < len(levels) or not set(levels) <= set(SPINE_LEVELS):
        raise ValueError(f"levels {levels} must be VerSe labels 1-26 and 28, each once at most")
    if level_log_p.shape != (len(arcs), len(levels)) or sure.shape != arcs.shape:
        raise ValueError(
            f"level scores {level_log_p.shape}, places {arcs.shape} and confidences {sure.shape} do not belong to the "
            f"same detections over {len(levels)} levels"
        )
    if (np.diff(arcs) <= 0).any():
        raise ValueError("detections must be ordered from head to feet, no two at the same place along the line")
    # A row may rule levels out (-inf), but not all of them.
    likely = np.isfinite(level_log_p.max(axis=1)).all()
    if not (np.isfinite(arcs).all() and ((sure >= 0) & (sure <= 1)).all() and likely):
        raise ValueError("places must be finite, confidences between 0 and 1, level scores log probabilities")


class _Chain:
    """The chain for one size of the patient; state -1 of a detection is a false alarm.

    kept: (N, K) log odds of each detection at each level. dropped: (N,) log odds as a false alarm. steps: (N, N, K, K)
    log odds of the way from detection i at level a to j > i at level b.
    """

    def __init__(self, kept: Floats, dropped: Floats, steps: Floats) -> None:
        self.kept = kept
        before = np.concatenate([[0.0], np.cumsum(dropped)])
        # False alarms between two vertebrae are part of the step between them.
        self.steps = steps + (before[None, :-1] - before[1:, None])[:, :, None, None]
        self.first = before[:-1] - np.log(kept.shape[1])  # the first vertebra may be any level
        self.last = before[-1] - before[1:]
        self.none = before[-1]
        self.forward = np.empty_like(kept)
        for j in range(len(kept)):
            ways = (self.forward[:j, :, None] + self.steps[:j, j]).reshape(-1, kept.shape[1])
            begun = np.full((1, kept.shape[1]), self.first[j])
            self.forward[j] = kept[j] + _log_sum(np.concatenate([begun, ways]), axis=0)
        ends = (self.forward + self.last[:, None]).ravel()
        self.log_evidence = float(logsumexp(np.append(ends, self.none)))

    def posterior(self) -> Floats:
        """Probability (N, K) of each level of each detection."""
        count, states = self.kept.shape
        backward = np.empty_like(self.kept)
        for i in reversed(range(count)):
            onward = self.steps[i, i + 1 :] + (self.kept + backward)[i + 1 :, None, :]
            ways = onward.transpose(1, 0, 2).reshape(states, -1)
            ended = np.full((states, 1), self.last[i])
            backward[i] = _log_sum(np.concatenate([ended, ways], axis=1), axis=1)
        log_p: Floats = np.exp(self.forward + backward - self.log_evidence)
        return log_p

    def best_path(self) -> tuple[float, Whole]:
        """Log probability and states (N,) of the most probable path (Viterbi)."""
        count, states = self.kept.shape
        best = np.empty_like(self.kept)
        came_from = np.full((count, states), -1)
        for j in range(count):
            best[j] = self.first[j]
            if j:
                ways = (best[:j, :, None] + self.steps[:j, j]).reshape(-1, states)
                better = ways.max(axis=0) > best[j]
                came_from[j] = np.where(better, ways.argmax(axis=0), -1)
                best[j] = np.maximum(best[j], ways.max(axis=0))
            best[j] += self.kept[j]
        path = np.full(count, -1)
        ends = best + self.last[:, None]
        if ends.max() <= self.none:
            return float(self.none), path
        at = int(ends.argmax())
        while at >= 0:
            path[at // states] = at % states
            at = int(came_from[at // states, at % states])
        return float(ends.max()), path


def _log_sum(log_p: Floats, axis: int) -> Floats:
    """log(sum(exp)) where each sum has a finite term; scipy's logsumexp costs five times as much in small sums."""
    most = log_p.max(axis=axis, keepdims=True)
    total: Floats = np.log(np.exp(log_p - most).sum(axis=axis))
    return total + most.squeeze(axis)


@cache
def _ways() -> tuple[Floats, Floats]:
    """All ways from a level to a lower one, past MOST_MISSED missed vertebrae at most: places in SPINE_LEVELS, numbers.

    Columns of the second: log probability, length (mm) in a patient of mean size, sum of the squares of its steps.
    """
    lower: dict[int, dict[int, float]] = {a: {b: 1.0} for a, b in pairwise(SPINE_LEVELS)}
    lower[LABEL_OF["T11"]] = {LABEL_OF["T12"]: 1 - NO_T12, LABEL_OF["L1"]: NO_T12}
    lower[LABEL_OF["T12"]] = {LABEL_OF["L1"]: 1 - T13, LABEL_OF["T13"]: T13}
    lower[LABEL_OF["L4"]] = {LABEL_OF["L5"]: 1 - NO_L5, SACRUM: NO_L5}
    lower[LABEL_OF["L5"]] = {SACRUM: 1 - L6, LABEL_OF["L6"]: L6}
    places, numbers = [], []

    def walk(start: int, here: int, missed: int, log_p: float, length: float, squares: float) -> None:
        for below, chance in lower.get(here, {}).items():
            step = step_mm(here, below)
            way = (log_p + np.log(chance), length + step, squares + step**2)
            places.append((SPINE_LEVELS.index(start), SPINE_LEVELS.index(below)))
            numbers.append(way)
            if missed < MOST_MISSED:
                walk(start, below, missed + 1, way[0] + np.log(MISSED), way[1], way[2])

    for level in SPINE_LEVELS:
        walk(level, level, 0, 0.0, 0.0, 0.0)
    return np.array(places), np.array(numbers)


def step_mm(upper: int, lower: int) -> float:
    """Mean distance in mm between the body centres of two vertebrae of which one follows the other."""
    if upper in CERVICAL_STEP_MM:
        return CERVICAL_STEP_MM[upper]
    like = {LABEL_OF["T13"]: LABEL_OF["T12"], LABEL_OF["L6"]: LABEL_OF["L5"]}
    # The disc above the sacrum is L5's, whichever vertebra is above it.
    disc = level_sizes()[LABEL_OF["L5"] if lower == SACRUM else like.get(upper, upper)]
    halves = SACRUM_HALF_MM if lower == SACRUM else _half_mm(like.get(lower, lower))
    return _half_mm(like.get(upper, upper)) + halves + (disc.disc_anterior_mm + disc.disc_posterior_mm) / 2


def _half_mm(level: int) -> float:
    size = level_sizes()[level]
    return size.height_posterior_mm * (1 + size.ratio_anterior + size.ratio_middle) / 6


def _step_log_odds(arcs: Floats, levels: tuple[int, ...], size: float) -> Floats:
    """Log odds (N, N, K, K) of the ways between detections i < j at levels a, b; -inf where there is none."""
    places, numbers = _ways()
    column = np.array([levels.index(level) if level in levels else -1 for level in SPINE_LEVELS])
    ends = column[places]
    known = (ends >= 0).all(axis=1)
    ends, (log_p, length, squares) = ends[known], numbers[known].T
    variance = (STEP_SPREAD * size) ** 2 * squares + 2 * DETECTION_MM**2
    upper, lower = np.triu_indices(len(arcs), 1)
    error = (arcs[lower] - arcs[upper])[:, None] - size * length
    density = np.exp(-0.5 * error**2 / variance) / np.sqrt(2 * np.pi * variance)
    odds = np.exp(log_p) * ((1 - FREE_SHARE) * FREE_MM * density + FREE_SHARE)
    total = np.zeros((len(levels), len(levels), len(upper)))
    np.add.at(total, (ends[:, 0], ends[:, 1]), odds.T)
    steps = np.full((len(arcs), len(arcs), len(levels), len(levels)), -np.inf)
    with np.errstate(divide="ignore"):
        steps[upper, lower] = np.log(total).transpose(2, 0, 1)
    return steps
