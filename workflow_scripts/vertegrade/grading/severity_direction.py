"""Which way in a method's latent space the severity rises, so that what raises it can be looked for in the image."""

import numpy as np

from vertegrade.arrays import Floats
from vertegrade.grading.calibration import Calibration
from vertegrade.grading.calibrators import OrdinalZ
from vertegrade.grading.hyperplane import Hyperplane


def severity_direction(hyperplane: Hyperplane, calibration: Calibration, z: Floats) -> Floats:
    """Direction (D,) of latents such that the severity never falls where z . direction rises; 1 is about one grade.

    That of the calibrator that grades: the slopes of `ordinal_z`, the plane's normal for all kinds that see the
    distance alone. The severity itself has no slope at its ends and between the knots of its curve. Its length: that of
    the least squares of the severity on z . direction, over latents z (N, D); without two that differ, the
    calibrator's own.
    """
    calibrator = calibration.calibrators[calibration.chosen]
    normal = hyperplane.w / np.linalg.norm(hyperplane.w)
    direction: Floats = hyperplane.whitening @ (calibrator.model.v if isinstance(calibrator, OrdinalZ) else normal)
    if len(z) < 2:
        return direction
    along = z @ direction
    severity = calibration.predict(hyperplane.signed_distance(z), hyperplane.normalise(z)).severity
    slope = np.cov(along, severity)[0, 1] / max(along.var(ddof=1), 1e-12)
    return direction * slope if slope > 0 else direction
