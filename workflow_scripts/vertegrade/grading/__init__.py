"""From latents to Genant grades: hyperplane, calibration, conformal intervals, predictions; the PCA baseline."""
