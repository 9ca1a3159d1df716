"""The direction along which severity rises, of each kind of calibrator."""

import dataclasses
from functools import cache

import numpy as np
import pytest

from helpers.simulated_latents import cohort
from vertegrade.grading.calibration import Calibration, calibrate
from vertegrade.grading.calibrators import KINDS
from vertegrade.grading.hyperplane import Hyperplane, fit_hyperplane
from vertegrade.grading.rows import stack_latents
from vertegrade.grading.severity_direction import severity_direction
from vertegrade.settings.grading import GradingSettings

TABLES = cohort(45)
Z = stack_latents(TABLES[0])


@cache
def fitted() -> tuple[Hyperplane, Calibration]:
    plane = fit_hyperplane(*TABLES, GradingSettings(), seed=1)
    return plane, calibrate(*TABLES, plane, GradingSettings(), seed=1)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_severity_never_falls_along_it_and_rises_by_one_for_one(kind: str) -> None:
    plane, calibration = fitted()
    calibration = dataclasses.replace(calibration, chosen=kind)
    direction = severity_direction(plane, calibration, Z)
    along = Z @ direction
    severity = calibration.predict(plane.signed_distance(Z), plane.normalise(Z)).severity
    assert np.diff(severity[np.argsort(along)]).min() > -1e-9
    assert np.polyfit(along, severity, 1)[0] == pytest.approx(1)


def test_without_latents_it_is_the_calibrators_own() -> None:
    plane, calibration = fitted()
    alone = severity_direction(plane, calibration, Z[:1])
    cosine = alone @ severity_direction(plane, calibration, Z) / np.linalg.norm(alone)
    assert cosine == pytest.approx(np.linalg.norm(severity_direction(plane, calibration, Z)))
