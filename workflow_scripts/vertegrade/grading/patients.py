"""From a patient's vertebrae to the patient: a probability of any fracture, and whether it is called one.

A patient has many vertebrae, and one false alarm among them is a false alarm of the patient. So the operating point of
vertebrae is none for patients. What a patient's vertebrae say together is one number (`EVIDENCE`). Logistic regression
on it and on the log of the number of graded vertebrae gives the probability; a limit on that calls the patient. All is
fitted on training patients, by predictions out of fold.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit, logit

from vertegrade.arrays import Floats
from vertegrade.grading.calibrators import Graded
from vertegrade.grading.rows import LEAST_PATIENTS, Flags, Whole, patient_folds

# The limit keeps as far as it can from missing both.
SENSITIVITY, SPECIFICITY = 0.90, 0.85
# Calibrators give 0 and 1; a vertebra is never that sure.
SUREST = 1e-3
PENALTY = 10.0  # inverse, of standardised predictors: finite where patients are separable, weak elsewhere


def largest(values: Floats, patient: Whole) -> Floats:
    """Largest of the values (N,) of each patient (P,); patient: (N,) numbers 0 ... P-1, each of which occurs."""
    found = np.full(patient.max(initial=-1) + 1, -np.inf)
    np.maximum.at(found, patient, values)
    return found


def _log_odds(p: Floats) -> Floats:
    value: Floats = logit(np.clip(p, SUREST, 1 - SUREST))
    return value


def _any(p: Floats, severity: Floats, patient: Whole) -> Floats:
    """Log odds that any vertebra is fractured, as if they were independent: 1 - prod(1 - p)."""
    return _log_odds(1 - np.exp(np.bincount(patient, np.log1p(-np.clip(p, 0, 1 - SUREST)))))


# What vertebrae of probability (N,) and severity (N,) say of their patients (P,), rising with a fracture.
EVIDENCE: dict[str, Callable[[Floats, Floats, Whole], Floats]] = {
    "severity": lambda p, severity, patient: largest(severity, patient),
    "probability": lambda p, severity, patient: _log_odds(largest(p, patient)),
    "any": _any,
}


@dataclass(frozen=True)
class PatientRule:
    """log odds of a fracture = intercept + slope * evidence + per_vertebra * log(vertebrae); called from `limit` on.

    evidence: key of EVIDENCE. patients, fractured: how many it was fitted to. log_loss: of each evidence, out of fold.
    """

    evidence: str
    intercept: float
    slope: float
    per_vertebra: float
    limit: float
    patients: int
    fractured: int
    log_loss: dict[str, float]

    def probabilities(self, p: Floats, severity: Floats, patient: Whole) -> Floats:
        """P(any vertebra is fractured) of each patient (P,), by graded vertebrae (N,) as for `EVIDENCE`."""
        found, vertebrae = EVIDENCE[self.evidence](p, severity, patient), np.bincount(patient)
        value: Floats = expit(self.intercept + self.slope * found + self.per_vertebra * np.log(vertebrae))
        return value

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON."""
        return dict(vars(self))

    @classmethod
    def from_dict(cls, numbers: dict[str, Any]) -> "PatientRule":
        """The rule of `to_dict`."""
        return cls(**numbers)


def fit_patient_rule(
    repeats: list[Graded], grade: Whole, patient: Whole, fracture_grade: int, folds: int, seed: int
) -> PatientRule | None:
    """The rule of training patients by out-of-fold predictions, several times; grade, patient: (N,) of their vertebrae.

    None where fewer than LEAST_PATIENTS patients have a fracture, or as few have none: then a patient is called by the
    worst grade. The evidence with the lowest log loss of patients left out is used.
    """
    fractured = largest((grade >= fracture_grade).astype(np.float64), patient) > 0
    if min(fractured.sum(), (~fractured).sum()) < LEAST_PATIENTS:
        return None
    count = len(fractured)
    unit = np.concatenate([patient + number * count for number in range(len(repeats))])
    severity = np.concatenate([graded.severity for graded in repeats])
    p = np.concatenate([graded.p_at_least(fracture_grade) for graded in repeats])
    known, owner = np.tile(fractured, len(repeats)), np.tile(np.arange(count), len(repeats))
    fold = patient_folds(known.astype(np.int64), owner, 1, folds, seed, least=LEAST_PATIENTS)
    log_vertebrae = np.log(np.bincount(unit))
    tried: dict[str, tuple[float, Floats, Floats]] = {}
    for name, evidence in EVIDENCE.items():
        x = np.stack([evidence(p, severity, unit), log_vertebrae], axis=1)
        held_out = _held_out(x, known, fold)
        loss = -np.mean(np.log(np.where(known, held_out, 1 - held_out)))
        tried[name] = (float(loss), held_out, _logistic(x, known))
    best = min(tried, key=lambda name: tried[name][0])
    _, held_out, (intercept, slope, per_vertebra) = tried[best]
    return PatientRule(
        evidence=best,
        intercept=float(intercept),
        slope=float(slope),
        per_vertebra=float(per_vertebra),
        limit=operating_limit(held_out, known),
        patients=count,
        fractured=int(fractured.sum()),
        log_loss={name: loss for name, (loss, _, _) in tried.items()},
    )


def _held_out(x: Floats, fractured: Flags, fold: Whole) -> Floats:
    """Probabilities (P,) of predictors (P, 2), each by a fit without its fold (P,)."""
    p = np.empty(len(x))
    for number in np.unique(fold):
        out = fold == number
        intercept, *slopes = _logistic(x[~out], fractured[~out])
        p[out] = expit(intercept + x[out] @ np.array(slopes))
    return p


def _logistic(x: Floats, fractured: Flags) -> Floats:
    """Intercept and slopes (3,) of logistic regression on predictors (P, 2), which it standardises."""
    from sklearn.linear_model import LogisticRegression  # see calibrators.py: only fitting waits for it

    mean, scale = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-9)
    model = LogisticRegression(C=PENALTY).fit((x - mean) / scale, fractured)
    slopes = model.coef_[0] / scale
    return np.array([model.intercept_[0] - slopes @ mean, *slopes])


def operating_limit(p: Floats, fractured: Flags) -> float:
    """The probability (P,) from which patients are called: the farthest from missing SENSITIVITY or SPECIFICITY.

    Among limits as far, that with the largest sensitivity + specificity; midway to the next lower probability.
    """
    from sklearn.metrics import roc_curve  # see calibrators.py: only fitting waits for it

    false_alarms, hits, limits = roc_curve(fractured, p, drop_intermediate=False)
    room = np.minimum(hits - SENSITIVITY, 1 - false_alarms - SPECIFICITY)
    # the first limit is infinite: nobody is called
    best = 1 + int(np.lexsort((hits[1:] - false_alarms[1:], room[1:].round(9)))[-1])
    lower = limits[best + 1] if best + 1 < len(limits) else 0.0
    return float((limits[best] + lower) / 2)
