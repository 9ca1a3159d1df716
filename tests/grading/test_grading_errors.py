"""The mean of a prediction over the errors of what was measured."""

import numpy as np
import pytest
from scipy.special import ndtr

from vertegrade.grading.calibrators import Graded
from vertegrade.grading.errors import mean_prediction, unusual, usual_lengths


def probit(z: np.ndarray) -> Graded:
    """Grade 1 with probability Phi(z_0 + 2 z_1), else 0."""
    p = ndtr(z[:, 0] + 2 * z[:, 1])
    return Graded(p, np.stack([1 - p, p, 0 * p, 0 * p], axis=1))


def test_the_mean_over_normal_errors_is_the_known_one() -> None:
    """The mean of Phi over a normal error of variance v is Phi(x / sqrt(1 + v))."""
    z = np.array([[0.5, 0.2], [-1.0, 0.3], [2.0, 0.0]])
    errors = np.array([[[0.6, 0.0], [0.0, 0.4]]] * 2 + [[[0.0, 0.0], [0.0, 0.0]]])
    found = mean_prediction(probit, z, errors)
    wanted = ndtr((z[:, 0] + 2 * z[:, 1]) / np.sqrt(1 + np.array([0.36 + 0.64, 0.36 + 0.64, 0.0])))
    np.testing.assert_allclose(found.severity, wanted, atol=2e-3)
    np.testing.assert_allclose(found.p_grade.sum(axis=1), 1)
    assert found.severity[2] == probit(z).severity[2]


def test_without_errors_nothing_changes() -> None:
    z = np.array([[0.5, 0.2]])
    assert mean_prediction(probit, z, np.zeros((1, 0, 2))).severity == probit(z).severity


def test_usual_errors_are_known_to_the_calibrator_and_taken_out() -> None:
    errors = np.array([[[3.0, 4.0]], [[0.3, 0.4]], [[0.0, 0.0]]])
    usual = usual_lengths(errors[1:])
    assert usual == pytest.approx([0.5])  # what is unknown does not count
    left = np.linalg.norm(unusual(errors, usual), axis=2)[:, 0]
    np.testing.assert_allclose(left, [np.sqrt(25 - 0.25), 0, 0])
    np.testing.assert_array_equal(unusual(errors, []), errors)
    assert unusual(np.zeros((2, 0, 4)), [0.1, 0.2, 0.3]).shape == (2, 0, 4)
