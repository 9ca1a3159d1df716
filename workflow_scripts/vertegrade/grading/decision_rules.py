"""From grade probabilities to one grade: which of several decision rules, chosen on training patients.

Each rule becomes three limits on the calibrator's expected grade, so that severity, grade, interval and call of a
fracture say the same whichever rule it is. For a calibrator of one predictor the probabilities of grade 1, 2, 3 or more
rise with it, so that its median grade is exactly such limits.
"""

from collections.abc import Callable

import numpy as np

from vertegrade.arrays import Floats
from vertegrade.grading.calibrators import Graded
from vertegrade.grading.grade_scale import HALVES, NEVER, GradeScale, fitted_limits
from vertegrade.grading.rows import Flags, Whole
from vertegrade.tables import GRADES


def median_grade(p_grade: Floats) -> Whole:
    """The lowest grade (N,) up to which at least half of the probability (N, 4) lies."""
    return np.argmax(np.cumsum(p_grade, axis=1) >= 0.5 - 1e-12, axis=1).astype(np.int64)


def limits_of(expected: Floats, decided: Whole) -> list[float]:
    """Limits on expected grades (N,) that give the decided grades (N,) as nearly as limits can."""
    limits = [_separating(expected, decided >= value) for value in GRADES[1:]]
    return [float(limit) for limit in np.maximum.accumulate(limits)]


def _separating(expected: Floats, above: Flags) -> float:
    """The limit with the fewest vertebrae (N,) on the wrong side, midway between its neighbours; NEVER above all."""
    if not above.any():
        return NEVER
    value, inverse = np.unique(expected, return_inverse=True)
    ups = np.bincount(inverse, above)
    downs = np.bincount(inverse, ~above)
    # wrong where the limit lies below the k-th value: those above it that are not, those below it that are
    wrong = np.concatenate([[0], np.cumsum(ups)]) + downs.sum() - np.concatenate([[0], np.cumsum(downs)])
    place = int(np.argmin(wrong))
    if place == 0:
        return 0.0
    return NEVER if place == len(value) else float((value[place - 1] + value[place]) / 2)


# Limits by expected grades and probabilities, true grades (N,) and the first grade that is a fracture. The first rule
# that is as good as the best is used.
RULES: dict[str, Callable[[Graded, Whole, int], list[float]]] = {
    "fitted": lambda graded, grade, fracture_grade: fitted_limits(graded.severity, grade, fracture_grade),
    "median": lambda graded, grade, fracture_grade: limits_of(graded.severity, median_grade(graded.p_grade)),
    "likeliest": lambda graded, grade, fracture_grade: limits_of(graded.severity, graded.p_grade.argmax(axis=1)),
    "rounded": lambda graded, grade, fracture_grade: [float(half) for half in HALVES],
}


def fit_grade_scale(graded: Graded, grade: Whole, fracture_grade: int, folds: Whole) -> GradeScale:
    """The scale of the rule with the best score, by out-of-fold predictions of training vertebrae.

    graded: expected grades and probabilities, grade: Genant grades (N,), folds: (N,) fold of each vertebra's patient.
    The limits of each fold come from the other folds. The score is the mean of macro-F1 of the grades, and of
    sensitivity and specificity of fractures: half of it counts grades, half of it the call.
    """
    scores = {}
    for name, rule in RULES.items():
        decided = np.empty(len(grade), dtype=np.int64)
        for fold in np.unique(folds):
            out = folds == fold
            seen = Graded(graded.severity[~out], graded.p_grade[~out])
            limits = rule(seen, grade[~out], fracture_grade)
            decided[out] = np.searchsorted(limits, graded.severity[out], side="right")
        scores[name] = decision_score(decided, grade, fracture_grade)
    best = max(scores, key=lambda name: scores[name])
    return GradeScale(RULES[best](graded, grade, fracture_grade), best, scores)


def decision_score(decided: Whole, grade: Whole, fracture_grade: int) -> float:
    """Mean of macro-F1 over the grades that occur, and of the mean of sensitivity and specificity; both in 0-1."""
    f1 = []
    for value in np.unique(np.concatenate([decided, grade])):
        hits = np.sum((decided == value) & (grade == value))
        f1.append(2 * hits / (np.sum(decided == value) + np.sum(grade == value)))
    called, fractured = decided >= fracture_grade, grade >= fracture_grade
    balanced = (called[fractured].mean() + (~called[~fractured]).mean()) / 2
    return float((np.mean(f1) + balanced) / 2)
