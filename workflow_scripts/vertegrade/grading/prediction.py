"""Predictions of one method for every vertebra that has a latent: the PREDICTIONS table."""

import numpy as np
import pandas as pd

from vertegrade.cohort.splits import split_of
from vertegrade.grading.calibration import Calibration
from vertegrade.grading.grade_scale import grade_of
from vertegrade.grading.hyperplane import Hyperplane
from vertegrade.grading.rows import GradingError, stack_errors, stack_latents
from vertegrade.tables import GRADES, PATIENT_KEY, PREDICTIONS, check_table, doubt_of


def predict(
    latents: pd.DataFrame, hyperplane: Hyperplane, calibration: Calibration, splits: pd.DataFrame, method: str
) -> pd.DataFrame:
    """PREDICTIONS of all rows of a LATENTS table, sorted by patient, scan and vertebra.

    Probabilities, severity and interval count what the errors of the latents leave open (errors.py). Rows that are not
    evaluable keep their reason and get no numbers. GradingError for latents of another encoder or another length, and
    for a calibration of another hyperplane.
    """
    if calibration.hyperplane_sha256 != hyperplane.sha256():
        raise GradingError("the calibration belongs to another hyperplane; calibrate again")
    if len(latents):
        hyperplane.check_latents(latents)
    latents = latents.sort_values(PATIENT_KEY, ignore_index=True)
    table = latents[PATIENT_KEY].copy()
    table["method"] = method
    table["split"] = split_of(splits, latents["patient_id"])
    numbers = ["signed_distance", "severity", "p_fracture", *(f"p_grade_{k}" for k in GRADES)]
    table[[*numbers, "severity_low", "severity_high"]] = np.nan
    table["grade"] = -1
    table[["evaluable", "reason"]] = latents[["evaluable", "reason"]]
    table = table.join(doubt_of(latents))
    here = latents["evaluable"].to_numpy(dtype=bool)
    if here.any():
        z = stack_latents(latents[here])
        distance = hyperplane.signed_distance(z)
        graded = calibration.predict_measured(z, stack_errors(latents[here]), hyperplane)
        values = [distance, graded.severity, graded.p_at_least(calibration.fracture_grade), *graded.p_grade.T]
        table.loc[here, [*numbers, "severity_low", "severity_high"]] = np.stack(
            [*values, *calibration.intervals.bounds(graded)], axis=1
        )
        table.loc[here, "grade"] = grade_of(graded.severity)
    return check_table(table[list(PREDICTIONS.columns)], PREDICTIONS, f"predictions of {method}")
