"""Latents of other grades lie where the calibrator says, along the hyperplane's normal."""

import numpy as np
import pytest

from helpers.simulated_latents import cohort
from vertegrade.grading.calibration import calibrate
from vertegrade.grading.counterfactual import SEVERITY_OF_GRADE, grade_latents
from vertegrade.grading.hyperplane import fit_hyperplane
from vertegrade.grading.rows import stack_latents
from vertegrade.settings.grading import GradingSettings


def test_moved_latents_have_the_severities_of_the_grades() -> None:
    latents, labels, splits = cohort()[:3]
    settings = GradingSettings()
    plane = fit_hyperplane(latents, labels, splits, settings, seed=0)
    calibration = calibrate(latents, labels, splits, plane, settings, seed=0)
    z = stack_latents(latents.head(3))
    seen = plane.signed_distance(stack_latents(latents))
    moved = grade_latents(z, plane, calibration, seen)
    assert moved.shape == (3, 4, z.shape[1])
    distances = np.stack([plane.signed_distance(moved[:, grade]) for grade in range(4)], axis=1)
    assert (np.diff(distances, axis=1) >= 0).all()
    np.testing.assert_allclose(distances[0], distances[2])
    on_distance = calibration.calibrators["ordinal_distance"]
    inside = (distances[0] > seen.min()) & (distances[0] < seen.max())
    severity = on_distance.predict(distances[0], np.empty((4, 0))).severity
    assert severity[inside] == pytest.approx(np.array(SEVERITY_OF_GRADE)[inside], abs=1e-6)
