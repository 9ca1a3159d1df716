"""What pictures are corrected by: a step towards severity raises it by about a grade, heights are the refiner's."""

from dataclasses import replace

import numpy as np
import torch

from helpers.simulated_latents import cohort
from vertegrade.graders.dae.instruments import instruments
from vertegrade.grading.calibration import calibrate
from vertegrade.grading.hyperplane import fit_hyperplane
from vertegrade.grading.rows import stack_latents
from vertegrade.settings.grading import GradingSettings


def test_three_steps_lead_from_intact_to_severe() -> None:
    latents, labels, splits = cohort()[:3]
    plane = fit_hyperplane(latents, labels, splits, GradingSettings(), seed=0)
    calibration = calibrate(latents, labels, splits, plane, GradingSettings(), seed=0)
    z = stack_latents(latents)
    distance = plane.signed_distance(z)
    by = instruments(plane, calibration, torch.nn.Identity(), 0.75, "cpu")
    raised = plane.signed_distance(z[:20] + 3 * by.towards) - distance[:20]
    np.testing.assert_allclose(raised, raised[0], rtol=1e-6)
    assert 3 < raised[0] / distance.std() < 6
    intact = z[distance < np.quantile(distance, 0.2)]
    assert by.severity(intact + 3 * by.towards).mean() > by.severity(intact).mean() + 1


def test_the_step_goes_along_the_pattern_and_the_severity_is_the_graders() -> None:
    """Latents of very different units, so that neither space can be taken for the other, and any other pattern."""
    latents, labels, splits = cohort()[:3]
    plane = fit_hyperplane(latents, labels, splits, GradingSettings(), seed=0)
    calibration = calibrate(latents, labels, splits, plane, GradingSettings(), seed=0)
    plane = replace(plane, pattern=np.random.default_rng(0).normal(size=plane.pattern.shape))
    z = stack_latents(latents)[:30]
    by = instruments(plane, calibration, torch.nn.Identity(), 0.75, "cpu")
    moved = plane.normalise(z + by.towards) - plane.normalise(z)
    along = plane.pattern / np.linalg.norm(plane.pattern)
    np.testing.assert_allclose(moved / np.linalg.norm(moved, axis=1, keepdims=True), np.tile(along, (30, 1)), atol=1e-6)
    assert abs(along @ plane.w / np.linalg.norm(plane.w)) < 0.9  # the normal is another direction
    wanted = calibration.predict(plane.signed_distance(z), plane.normalise(z)).severity
    np.testing.assert_array_equal(by.severity(z), wanted)
