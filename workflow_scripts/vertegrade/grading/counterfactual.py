"""Which vertebrae to show at other grades, and where in the latent space those grades lie."""

import numpy as np
import pandas as pd

from vertegrade.grading.calibration import Calibration
from vertegrade.grading.hyperplane import Hyperplane
from vertegrade.grading.rows import Array

# The severity that stands for each grade; the ends of the scale are reached only at infinite distance.
SEVERITY_OF_GRADE = (0.1, 1.0, 2.0, 2.75)


def choose_vertebrae(predictions: pd.DataFrame, count: int) -> pd.DataFrame:
    """Rows of PREDICTIONS to show: test vertebrae evenly spread over predicted severity, at most one a patient."""
    test = predictions[predictions["evaluable"] & (predictions["split"] == "test")]
    order = test.sort_values(["severity", "scan_id", "vertebra"], ignore_index=True)
    chosen: list[int] = []
    patients: set[str] = set()
    for place in np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int):
        nearest = np.argsort(np.abs(np.arange(len(order)) - place), kind="stable")
        free = [row for row in nearest if order.at[row, "patient_id"] not in patients]
        if free:
            chosen.append(int(free[0]))
            patients.add(str(order.at[free[0], "patient_id"]))
    return order.loc[sorted(chosen)].reset_index(drop=True)


def grade_latents(z: Array, hyperplane: Hyperplane, calibration: Calibration, seen: Array) -> Array:
    """Latents (N, 4, D) of vertebrae z (N, D) moved along the hyperplane's normal to grades 0, 1, 2, 3.

    The direction comes from the model alone, never from the true grade. seen: signed distances of the cohort; a target
    beyond them is drawn back to their ends, because the decoder never saw a latent out there.
    """
    targets = np.clip([calibration.distance_of(severity) for severity in SEVERITY_OF_GRADE], seen.min(), seen.max())
    return np.stack([hyperplane.move_to_distance(z, float(target)) for target in targets], axis=1)
