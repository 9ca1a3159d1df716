"""Genant's scale of one calibrator: where its grades begin, and a severity that rounds to the grade.

A calibrator's expected grade is drawn to the many intact vertebrae, so plain rounding hardly ever gives the rare high
grades. Limits of training patients say from which expected grade on a vertebra has grade 1, 2 and 3: those of one of
four decision rules (decision_rules.py). Severity is the expected grade stretched piecewise so that these limits lie at
0.5, 1.5 and 2.5; the order of vertebrae stays. The grade is the rounded severity, and a vertebra is called fractured
when its grade is `fracture_grade` or more.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vertegrade.arrays import Floats
from vertegrade.grading.calibrators import Graded
from vertegrade.grading.rows import Flags, Whole
from vertegrade.tables import GRADES

# Places that a grade's limit may take: bounds the memory of the search (its square) for large cohorts.
MOST_PLACES = 2000
HALVES = np.array([0.5, 1.5, 2.5])
NEVER = 4.0  # a limit that no expected grade reaches


def grade_of(severity: Floats) -> Whole:
    """Genant grade (N,) of severities: rounded, a half upwards."""
    return np.searchsorted(HALVES, severity, side="right").astype(np.int64)


@dataclass(frozen=True)
class GradeScale:
    """limits: expected grades (0-3) from which the grade is 1, 2, 3, none falling; NEVER for a grade never given.

    rule: the decision rule that set them. scores: of each rule, out of fold.
    """

    limits: list[float]
    rule: str = "fitted"
    scores: dict[str, float] = field(default_factory=dict)

    def severity(self, expected: Floats) -> Floats:
        """Severity (N,) in 0-3 of expected grades (N,): rises strictly within each grade, and `grade_of` fits it."""
        grade = np.searchsorted(self.limits, expected, side="right")
        begin, end, low, high = self._bands()
        share: Floats = (expected - begin[grade]) / np.maximum(end - begin, 1e-12)[grade]
        severity = low[grade] + np.clip(share, 0.0, 1.0) * (high - low)[grade]
        # rounding must not lift the last of a grade over the limit that it lies below
        below: Floats = np.where(grade < len(self.limits), np.nextafter(high[grade], 0.0), high[grade])
        return np.minimum(severity, below)

    def _bands(self) -> tuple[Floats, Floats, Floats, Floats]:
        """Of each grade: where its expected grades begin and end, where its severities begin and end."""
        begin, end = np.array([0.0, *self.limits]), np.array([*self.limits, 3.0])
        return begin, np.maximum(begin, end), np.array([0.0, *HALVES]), np.array([*HALVES, 3.0])

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON."""
        return dict(vars(self))

    @classmethod
    def from_dict(cls, numbers: dict[str, Any]) -> "GradeScale":
        """The scale of `to_dict`."""
        return cls(**numbers)


def on_scale(graded: Graded, scale: GradeScale) -> Graded:
    """The same predictions with the severity on the scale."""
    return Graded(scale.severity(graded.severity), graded.p_grade)


def fitted_limits(expected: Floats, grade: Whole, fracture_grade: int) -> list[float]:
    """Limits of out-of-fold expected grades and Genant grades (N,) of training vertebrae.

    Fractures begin where sensitivity + specificity is largest; the limits on both sides of that have the largest
    macro-F1 over the grades that occur.
    """
    return best_grade_limits(expected, grade, fracture_grade, youden_limit(expected, grade >= fracture_grade))


def youden_limit(expected: Floats, fractured: Flags) -> float:
    """The expected grade with the largest sensitivity + specificity (Youden, Cancer 1950), midway to the next lower."""
    from sklearn.metrics import roc_curve  # see calibrators.py: only fitting waits for it

    false_alarms, hits, limits = roc_curve(fractured, expected, drop_intermediate=False)
    # the first limit is infinite: nothing is called fractured
    best = max(int(np.argmax(hits - false_alarms)), 1)
    lower = limits[best + 1] if best + 1 < len(limits) else 0.0
    return float((limits[best] + lower) / 2)


def best_grade_limits(expected: Floats, grade: Whole, fracture_grade: int, fracture_limit: float) -> list[float]:
    """Expected grades from which the grade is 1, 2, 3, with the largest macro-F1 over the grades that occur.

    fracture_limit: where `fracture_grade` and above begin. Exact, by dynamic programming over the sorted values:
    macro-F1 is a sum over the stretches between limits. A grade that does not occur is never given.
    """
    order = np.argsort(expected, kind="stable")
    value, sorted_grade = expected[order], grade[order]
    fracture_place = int(np.searchsorted(value, fracture_limit))
    places = _places(value, fracture_place)
    occurring = np.unique(grade)
    best = np.where(places == 0, 0.0, -np.inf)
    came_from: list[np.ndarray] = []
    for wanted in occurring:
        if wanted >= fracture_grade > max([*occurring[occurring < wanted], -1]):
            best = np.where(places == fracture_place, best, -np.inf)
        hits = np.concatenate([[0], np.cumsum(sorted_grade == wanted)])[places]
        f1 = 2 * (hits[None, :] - hits[:, None]) / (np.maximum(places[None, :] - places[:, None], 0) + hits[-1])
        total = np.where(places[None, :] >= places[:, None], best[:, None] + f1, -np.inf)
        came_from.append(np.argmax(total, axis=0))
        best = np.max(total, axis=0)
    limits = [NEVER] * len(GRADES)
    at = len(places) - 1
    for wanted, before in zip(occurring[::-1], came_from[::-1], strict=True):
        at = int(before[at])
        limits[wanted] = _between(value, int(places[at]))
    # a grade that does not occur begins where the next higher one begins
    for wanted in reversed(GRADES[:-1]):
        limits[wanted] = min(limits[wanted], limits[wanted + 1])
    return limits[1:]


def _places(value: Floats, fracture_place: int) -> Whole:
    """Positions (in rising values) where a limit may lie: before, between distinct values, after."""
    places = np.concatenate([[0], np.flatnonzero(np.diff(value) > 0) + 1, [len(value)]])
    if len(places) > MOST_PLACES:
        places = places[np.linspace(0, len(places) - 1, MOST_PLACES).round().astype(int)]
    return np.union1d(places, [fracture_place]).astype(np.int64)


def _between(value: Floats, place: int) -> float:
    """A limit midway between the values on both sides of a place."""
    if place == 0:
        return 0.0
    return NEVER if place == len(value) else float((value[place - 1] + value[place]) / 2)
