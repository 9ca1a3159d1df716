"""What a drawn vertebra is measured and graded by: the refiner for its heights, the grader for its severity."""

import numpy as np
import pandas as pd
from torch import nn

from vertegrade.graders.dae.counterfactual import Instruments
from vertegrade.grading.calibration import Calibration
from vertegrade.grading.hyperplane import Hyperplane
from vertegrade.localizer.refiner.in_crops import heights_in_images

ENDS = (0.01, 0.99)  # of the signed distances of a cohort: about the three grades between intact and severe


def instruments(
    hyperplane: Hyperplane,
    calibration: Calibration,
    predictions: pd.DataFrame,
    refiner: nn.Module,
    pixel_mm: float,
    device: str,
) -> Instruments:
    """Of a grader and its PREDICTIONS of a cohort; pixel_mm: side of the pixels of a picture."""
    distances = predictions.loc[predictions["evaluable"], "signed_distance"].to_numpy(np.float64)
    low, high = np.quantile(distances, ENDS) if len(distances) else (0.0, 0.0)
    return Instruments(
        heights=lambda images, points: heights_in_images(images, points, pixel_mm, refiner, device),
        severity=lambda z: calibration.predict(hyperplane.signed_distance(z), hyperplane.normalise(z)).severity,
        towards=np.linalg.solve(hyperplane.whitening.T, hyperplane.pattern) * (high - low) / 3,
    )
