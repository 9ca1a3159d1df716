"""Crops for pictures: three bodies in a column, the middle one as low as it is graded."""

import numpy as np


def make_crops(severity: np.ndarray, seed: int = 0) -> np.ndarray:
    """int16 HU (N, 5, 64, 64): soft tissue, three bodies with a dense rim, the middle one wedged by the severity."""
    rng = np.random.default_rng(seed)
    row, column = np.mgrid[0:64, 0:64]
    crops = np.empty((len(severity), 5, 64, 64), np.int16)
    for place, grade in enumerate(severity):
        image = np.full((64, 64), 40.0)
        for centre in (4, 32, 60):
            loss = 0.16 * grade if centre == 32 else 0.0
            half = 11 * (1 - loss * np.clip((46 - column) / 28, 0, 1))
            body = (np.abs(row - centre) < half) & (column >= 18) & (column < 46)
            rim = body & ((np.abs(row - centre) > half - 2) | (column < 20) | (column > 43))
            image[body], image[rim] = 200.0, 650.0
        crops[place] = image + rng.normal(0, 40, (5, 64, 64))
    return crops
