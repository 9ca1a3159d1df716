"""What pictures are corrected by: a step towards severity raises it by about a grade, heights are the refiner's."""

import numpy as np
import pandas as pd
import pytest
import torch

from helpers.simulated_latents import cohort
from vertegrade.graders.dae.instruments import instruments
from vertegrade.grading.calibration import calibrate
from vertegrade.grading.hyperplane import fit_hyperplane
from vertegrade.grading.rows import stack_latents
from vertegrade.settings.grading import GradingSettings


def test_three_steps_lead_from_one_end_of_the_cohort_to_the_other() -> None:
    latents, labels, splits = cohort()[:3]
    plane = fit_hyperplane(latents, labels, splits, GradingSettings(), seed=0)
    calibration = calibrate(latents, labels, splits, plane, GradingSettings(), seed=0)
    z = stack_latents(latents)
    distance = plane.signed_distance(z)
    predictions = pd.DataFrame({"evaluable": True, "signed_distance": distance})
    by = instruments(plane, calibration, predictions, torch.nn.Identity(), 0.75, "cpu")
    low, high = np.quantile(distance, [0.01, 0.99])
    moved = z[:20] + 3 * by.towards
    np.testing.assert_allclose(plane.signed_distance(moved) - distance[:20], high - low, rtol=1e-6)
    intact = z[distance < np.quantile(distance, 0.2)]
    assert by.severity(intact + 3 * by.towards).mean() > by.severity(intact).mean() + 1


def test_a_cohort_without_a_grade_has_no_way_towards_severity() -> None:
    latents, labels, splits = cohort()[:3]
    plane = fit_hyperplane(latents, labels, splits, GradingSettings(), seed=0)
    calibration = calibrate(latents, labels, splits, plane, GradingSettings(), seed=0)
    nothing = pd.DataFrame({"evaluable": [False], "signed_distance": [np.nan]})
    by = instruments(plane, calibration, nothing, torch.nn.Identity(), 0.75, "cpu")
    assert by.towards == pytest.approx(np.zeros_like(by.towards))
