"""Intervals of stated coverage within each true grade: conformal prediction by patient and by grade.

Most vertebrae are intact, so intervals that hold for 90 % of all of them may fail for half of the mild fractures. So
each grade has a limit of its own (Mondrian or label-conditional conformal prediction; Vovk, Gammerman & Shafer,
Algorithmic Learning in a Random World, 2005, section 4.5). A grade is accepted where its distance from the severity,
in predicted errors, is no larger than that of the stated share of vertebrae of this true grade. The interval spans the
severities that round to the accepted grades, 0-0.5, 0.5-1.5, 1.5-2.5 and 2.5-3, and what lies between. So it has no
zero width. What else was tried is in docs/results/intervals.md.

The vertebrae of a patient resemble each other, so vertebrae are not exchangeable, but patients are. By "pooling CDFs"
(Dunn, Wasserman & Ramdas, JASA 2023) every patient gets the same weight, shared among the patient's vertebrae, so that
long scans do not outvote short ones. One more vertebra's weight is at infinity. The grade of a vertebra drawn from
those of its true grade of a new patient then lies inside with the stated probability (not for another scanner
population), exactly as the number of patients with this grade grows.

A grade's limit is the larger one of two groups of patients. Training patients, out of fold, are many, but the encoder
has seen their crops, and the scale of grades was fitted to them. Validation patients were never learned from, but few
of them have the rare grades. Either group alone missed the stated share in one of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from vertegrade.arrays import Floats
from vertegrade.grading.calibrators import Graded
from vertegrade.grading.grade_scale import HALVES, grade_of
from vertegrade.grading.rows import Flags, GradingError, Whole
from vertegrade.tables import GRADES

# A predicted error below this would turn one confidently wrong vertebra into an endless score.
LEAST_SCALE = 0.01
BAND_LOW, BAND_HIGH = np.array([0.0, *HALVES]), np.array([*HALVES, 3.0])


class Predicted(NamedTuple):
    """Predictions, true grades (N,) and patients (N,) of some vertebrae."""

    graded: Graded
    grade: Whole
    patient: Whole


@dataclass(frozen=True)
class Intervals:
    """limits: distance in predicted errors up to which grades 0-3 are accepted. coverage: the share within each grade.

    patients: how many with a vertebra of each grade the limits come from.
    """

    limits: list[float]
    coverage: float
    patients: list[int]

    def accepted(self, graded: Graded) -> Flags:
        """Which grades (N, 4) are accepted; the vertebra's own always, since an interval must not contradict it."""
        accepted: Flags = grade_scores(graded) <= np.array(self.limits)
        accepted[np.arange(len(accepted)), grade_of(graded.severity)] = True
        return accepted

    def bounds(self, graded: Graded) -> tuple[Floats, Floats]:
        """(severity_low, severity_high), each (N,) in 0-3: from the lowest accepted grade to the highest."""
        accepted = self.accepted(graded)
        lowest, highest = accepted.argmax(axis=1), len(GRADES) - 1 - accepted[:, ::-1].argmax(axis=1)
        return BAND_LOW[lowest], BAND_HIGH[highest]

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON."""
        return dict(vars(self))

    @classmethod
    def from_dict(cls, numbers: dict[str, Any]) -> "Intervals":
        """The intervals of `to_dict`."""
        return cls(**numbers)


def grade_scores(graded: Graded) -> Floats:
    """Distance (N, 4) of each grade from the severity, in predicted errors."""
    distance: Floats = np.abs(np.array(GRADES, dtype=np.float64)[None, :] - graded.severity[:, None])
    return distance / predicted_error(graded)[:, None]


def predicted_error(graded: Graded) -> Floats:
    """Root mean square error (N,) that the grade probabilities predict for the severity: wide where unsure."""
    error = np.array(GRADES, dtype=np.float64)[None, :] - graded.severity[:, None]
    return np.maximum(np.sqrt(np.sum(graded.p_grade * error**2, axis=1)), LEAST_SCALE)


def patients_needed(coverage: float) -> int:
    """Patients with a grade below which a single one outweighs what may lie outside."""
    return int(np.ceil(1 / (1 - coverage) - 1 - 1e-9))


def fit_intervals(groups: Sequence[Predicted], coverage: float) -> Intervals:
    """The larger one of the groups' patient-weighted quantiles of each true grade's scores.

    groups: predictions that were not fitted on their own patients. A grade that in no group as many patients have as
    1 / (1 - coverage) - 1 gets the largest limit of the others: one of its patients would outweigh what may lie
    outside. GradingError where every grade is as rare.
    """
    needed = patients_needed(coverage)
    patients = [[len(np.unique(patient[grade == value])) for value in GRADES] for _, grade, patient in groups]
    most = max(map(max, patients))
    if most < needed:
        raise GradingError(
            f"intervals of coverage {coverage:g} need {needed} patients with graded vertebrae of the same grade, there "
            f"are {most}; lower grading.coverage or give more patients grades"
        )
    known: dict[int, float] = {}
    for (graded, grade, patient), counts in zip(groups, patients, strict=True):
        scores = grade_scores(graded)
        for value in (value for value in GRADES if counts[value] >= needed):
            of_grade = grade == value
            limit = _limit(scores[of_grade, value], patient[of_grade], coverage)
            known[value] = max(limit, known.get(value, limit))
    widest = max(known.values())
    limits = [known.get(value, widest) for value in GRADES]
    return Intervals(limits, coverage, [sum(counts) for counts in zip(*patients, strict=True)])


def _limit(score: Floats, patient: Whole, coverage: float) -> float:
    """The score (N,) that the share `coverage` of the patients' weights does not exceed, one vertebra at infinity."""
    _, number, vertebrae_of = np.unique(patient, return_inverse=True, return_counts=True)
    weight = 1.0 / (vertebrae_of[number] * len(vertebrae_of))
    order = np.argsort(score, kind="stable")
    level = min(coverage * (1 + 1 / len(score)), 1.0)
    return float(score[order][np.searchsorted(np.cumsum(weight[order]), level - 1e-9)])
