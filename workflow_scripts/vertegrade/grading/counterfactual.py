"""Where in the latent space the grades of a vertebra lie."""

import numpy as np

from vertegrade.arrays import Floats
from vertegrade.grading.calibration import Calibration
from vertegrade.grading.hyperplane import Hyperplane

# The severity that represents each grade; the ends of the scale are reached only at infinite distance.
SEVERITY_OF_GRADE = (0.1, 1.0, 2.0, 2.75)


def grade_latents(z: Floats, hyperplane: Hyperplane, calibration: Calibration, seen: Floats) -> Floats:
    """Latents (N, 4, D) of vertebrae z (N, D) moved along the hyperplane's pattern to grades 0, 1, 2, 3.

    The direction comes from the model alone, never from the true grade. seen: signed distances of the cohort; a target
    beyond them is drawn back to their ends, because the decoder never saw a latent out there.
    """
    if not len(z):
        return np.empty((0, len(SEVERITY_OF_GRADE), len(hyperplane.mean)))
    targets = np.clip([calibration.distance_of(severity) for severity in SEVERITY_OF_GRADE], seen.min(), seen.max())
    return np.stack([hyperplane.move_to_distance(z, float(target)) for target in targets], axis=1)
