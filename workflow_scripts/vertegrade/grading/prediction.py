"""Predictions of one method for every vertebra that has a latent: the PREDICTIONS table."""

from typing import Protocol

import numpy as np
import pandas as pd

from vertegrade.cohort.splits import split_of
from vertegrade.grading.calibration import Calibration
from vertegrade.grading.grade_scale import grade_of
from vertegrade.grading.hyperplane import Hyperplane
from vertegrade.grading.novelty import LIMIT, Novelty, appearance_of
from vertegrade.grading.patients import PatientRule, largest
from vertegrade.grading.rows import GradingError, stack_errors, stack_latents
from vertegrade.tables import GRADES, PATIENT_KEY, PREDICTIONS, UNLIKE_TRAINING, check_table, doubt_of, flags_with

NUMBERS = ["signed_distance", "severity", "p_fracture", *(f"p_grade_{k}" for k in GRADES)]
NUMBERS += ["severity_low", "severity_high"]
SEVERE = 2  # grade from which a withheld vertebra is still to be looked at


def predict(
    latents: pd.DataFrame, hyperplane: Hyperplane, calibration: Calibration, splits: pd.DataFrame, method: str
) -> pd.DataFrame:
    """PREDICTIONS of all rows of a LATENTS table, sorted by patient, scan and vertebra.

    Probabilities, severity and interval count what the errors of the latents leave open (errors.py). Rows that are not
    evaluable keep their reason and get no numbers. novelty is left to `with_novelty`, the columns of patients to
    `with_patients`. GradingError for latents of another encoder or another length, and for a calibration of another
    hyperplane.
    """
    if calibration.hyperplane_sha256 != hyperplane.sha256():
        raise GradingError("the calibration belongs to another hyperplane; calibrate again")
    if len(latents):
        hyperplane.check_latents(latents)
    latents, table = ungraded(latents, splits, method)
    here = latents["evaluable"].to_numpy(dtype=bool)
    if here.any():
        z = stack_latents(latents[here])
        distance = hyperplane.signed_distance(z)
        graded = calibration.predict_measured(z, stack_errors(latents[here]), hyperplane)
        values = [distance, graded.severity, graded.p_at_least(calibration.fracture_grade), *graded.p_grade.T]
        table.loc[here, NUMBERS] = np.stack([*values, *calibration.intervals.bounds(graded)], axis=1)
        table.loc[here, "grade"] = grade_of(graded.severity)
    return check_table(table, PREDICTIONS, f"predictions of {method}")


def ungraded(latents: pd.DataFrame, splits: pd.DataFrame, method: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """LATENTS sorted by patient, scan and vertebra, and PREDICTIONS of the same rows without numbers."""
    latents = latents.sort_values(PATIENT_KEY, ignore_index=True)
    table = latents[PATIENT_KEY].copy()
    table["method"] = method
    table["split"] = split_of(splits, latents["patient_id"])
    table[[*NUMBERS, "novelty"]] = np.nan
    table["grade"] = -1
    table[["evaluable", "reason"]] = latents[["evaluable", "reason"]]
    table = table.join(doubt_of(latents))
    return latents, table[[name for name in PREDICTIONS.columns if name in table]]


def with_novelty(
    predictions: pd.DataFrame, latents: pd.DataFrame, appearance: pd.DataFrame, novelty: Novelty, withhold: bool
) -> pd.DataFrame:
    """PREDICTIONS with the novelty of each evaluable row, and the flag `unlike_training` beyond its limit.

    latents, appearance: LATENTS and APPEARANCE of the same vertebrae. withhold: such a row is no longer evaluable and
    loses its numbers but for the novelty, which is the reason. It has the flag `look_at_this` if its grade would be
    SEVERE or more.
    """
    table = predictions.copy()
    rows = table[table["evaluable"]]
    shares = np.zeros(len(table))
    if len(rows):
        seen = rows[PATIENT_KEY].merge(latents, on=PATIENT_KEY, how="left", validate="one_to_one")
        severity = rows["severity"].to_numpy(np.float64)
        shares[rows.index] = novelty.shares(stack_latents(seen), appearance_of(seen, appearance), severity)
        table.loc[rows.index, "novelty"] = shares[rows.index]
    unlike = shares >= LIMIT
    look = unlike & withhold & (table["grade"] >= SEVERE).to_numpy(bool)
    table["flags"] = flags_with(table, {"unlike_training": unlike, "look_at_this": look})
    if withhold:
        table.loc[unlike, NUMBERS] = np.nan
        for column, value in (("grade", -1), ("evaluable", False), ("reason", UNLIKE_TRAINING)):
            table.loc[unlike, column] = value
    return check_table(table, PREDICTIONS, "predictions with novelty")


class CallsPatients(Protocol):
    """A calibration of any kind, as far as patients go."""

    @property
    def patient(self) -> PatientRule | None:
        """From vertebrae to patients; None where too few taught it."""

    @property
    def fracture_grade(self) -> int:
        """Genant grade from which a vertebra counts as fractured."""


def with_patients(predictions: pd.DataFrame, calibration: CallsPatients) -> pd.DataFrame:
    """PREDICTIONS with what all graded vertebrae of its patient say together, the same in each row of a patient.

    patient_p_fracture: probability of any fracture, NaN without a rule. patient_fractured: 1 where the patient is
    called fractured, 0 where not, -1 where no vertebra was graded. Without a rule, the worst grade calls.
    """
    rows = predictions["evaluable"].to_numpy(dtype=bool)
    names, number = np.unique(predictions["patient_id"].to_numpy(str), return_inverse=True)
    p, called = np.full(len(names), np.nan), np.full(len(names), -1)
    there, patient = np.unique(number[rows], return_inverse=True)
    grade, p_fracture, severity = (
        predictions.loc[rows, name].to_numpy(np.float64) for name in ("grade", "p_fracture", "severity")
    )
    rule = calibration.patient
    if rule is None:
        called[there] = largest(grade, patient) >= calibration.fracture_grade
    else:
        p[there] = rule.probabilities(p_fracture, severity, patient)
        called[there] = p[there] >= rule.limit
    table = predictions.assign(patient_p_fracture=p[number], patient_fractured=called[number])
    return check_table(table, PREDICTIONS, "predictions with patients")
