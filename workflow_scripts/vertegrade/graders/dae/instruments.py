"""What a drawn vertebra is measured and graded by: the refiner for its heights, the grader for its severity."""

import numpy as np
from torch import nn

from vertegrade.graders.dae.counterfactual import Instruments
from vertegrade.grading.calibration import Calibration
from vertegrade.grading.calibrators import OrdinalDistance
from vertegrade.grading.hyperplane import Hyperplane
from vertegrade.localizer.refiner.in_crops import heights_in_images

SPREAD = 4.0  # standard deviations of the training distances from an intact vertebra to a severe fracture: three grades


def instruments(
    hyperplane: Hyperplane, calibration: Calibration, refiner: nn.Module, pixel_mm: float, device: str
) -> Instruments:
    """Of a grader; pixel_mm: side of the pixels of a picture.

    The step towards severity goes along the pattern of the hyperplane (covariance of the latents times w), not along
    its normal: that leaves the region where latents occur.
    """
    on_distance = calibration.calibrators[OrdinalDistance.kind]
    assert isinstance(on_distance, OrdinalDistance)
    return Instruments(
        heights=lambda images, points: heights_in_images(images, points, pixel_mm, refiner, device),
        severity=lambda z: calibration.predict(hyperplane.signed_distance(z), hyperplane.normalise(z)).severity,
        towards=np.linalg.solve(hyperplane.whitening.T, hyperplane.pattern) * SPREAD * on_distance.scale / 3,
    )
