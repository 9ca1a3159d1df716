"""Intervals of stated coverage: split conformal prediction by patient, on a validation split never fitted on.

The vertebrae of a patient resemble each other, so vertebrae are not exchangeable, but patients are. By "pooling CDFs"
(Dunn, Wasserman & Ramdas, JASA 2023) every patient gets the same weight, shared among the patient's vertebrae, so that
long scans do not outvote short ones. One more vertebra's weight is at infinity. The interval of a vertebra drawn from a
new patient then contains its Genant grade with the stated probability, over patients and vertebrae (not within each
grade, not for another scanner population), exactly as the number of patients grows.

The variant with a guarantee at any number puts a whole patient's weight at infinity (Lee, Barber & Willett,
arXiv:2306.06342). On simulated spines nominal 0.90 became 0.97 with 12 patients and 0.93 with 24 by the guaranteed
variant, 0.89-0.90 by this one.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from vertegrade.arrays import Floats
from vertegrade.grading.calibrators import Graded
from vertegrade.grading.grade_scale import grade_of
from vertegrade.grading.rows import GradingError, Whole
from vertegrade.tables import GRADES

# A predicted error below this would turn one confidently wrong vertebra into an endless score.
LEAST_SCALE = 0.01


@dataclass(frozen=True)
class Intervals:
    """Half width of an interval = quantile * predicted error. patients and vertebrae: how many it was calibrated on."""

    quantile: float
    coverage: float
    patients: int
    vertebrae: int

    def bounds(self, graded: Graded) -> tuple[Floats, Floats]:
        """(severity_low, severity_high), each (N,), clipped to 0-3; widened to the vertebra's own grade.

        A severity of 1.4 is grade 1: an interval of 1.2 to 1.6 without that grade would contradict it. Coverage can
        only grow by this.
        """
        half, grade = self.quantile * predicted_error(graded), grade_of(graded.severity)
        low, high = np.clip(graded.severity - half, 0.0, 3.0), np.clip(graded.severity + half, 0.0, 3.0)
        return np.minimum(low, grade), np.maximum(high, grade)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON."""
        return dict(vars(self))

    @classmethod
    def from_dict(cls, numbers: dict[str, Any]) -> "Intervals":
        """The intervals of `to_dict`."""
        return cls(**numbers)


def predicted_error(graded: Graded) -> Floats:
    """Root mean square error (N,) that the grade probabilities predict for the severity: wide where unsure."""
    error = np.array(GRADES, dtype=np.float64)[None, :] - graded.severity[:, None]
    return np.maximum(np.sqrt(np.sum(graded.p_grade * error**2, axis=1)), LEAST_SCALE)


def patients_needed(coverage: float) -> int:
    """Validation patients below which a single one outweighs what may lie outside."""
    return int(np.ceil(1 / (1 - coverage) - 1 - 1e-9))


def fit_intervals(graded: Graded, grade: Whole, patient: Whole, coverage: float) -> Intervals:
    """The patient-weighted quantile of |grade - severity| / predicted error; all (N,), of the validation split.

    GradingError where there are fewer patients than 1 / (1 - coverage) - 1: then one patient outweighs what may lie
    outside.
    """
    _, inverse, vertebrae_of = np.unique(patient, return_inverse=True, return_counts=True)
    patients = len(vertebrae_of)
    needed = patients_needed(coverage)
    if patients < needed:
        raise GradingError(
            f"intervals of coverage {coverage:g} need {needed} validation patients with graded vertebrae, there are "
            f"{patients}; lower grading.coverage or give the validation split more patients"
        )
    score = np.abs(grade - graded.severity) / predicted_error(graded)
    weight = 1.0 / (vertebrae_of[inverse] * patients)
    order = np.argsort(score, kind="stable")
    level = min(coverage * (1 + 1 / len(grade)), 1.0)
    reached = np.searchsorted(np.cumsum(weight[order]), level - 1e-9)
    return Intervals(float(score[order][reached]), coverage, patients, len(grade))
