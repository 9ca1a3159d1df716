"""Synthetic spines: centres in RAS mm, head to feet."""

import numpy as np

GAPS_MM = [19.6, 19.2, 20.1, 21.8, 22.7, 23.4, 24.2, 25.0, 26.2, 26.7, 29.2, 30.2, 29.0, 31.1, 33.3, 34.0]


def normal_spine(kyphosis: float = 45.0, lordosis: float = 50.0, scoliosis: float = 0.0) -> np.ndarray:
    """Centres (17, 3) of T1-L5 with the given angles in degrees; the scoliosis is one wave from T1 to L5."""
    ends = np.concatenate([[0.0], np.cumsum(GAPS_MM)])
    along = np.linspace(0, ends[-1], 2000)
    sagittal = np.radians(
        np.interp(along, ends[[0, 5, 11, 16]], [-kyphosis / 2, 0, kyphosis / 2, kyphosis / 2 - lordosis])
    )
    sagittal = np.convolve(np.pad(sagittal, 150, mode="edge"), np.full(301, 1 / 301), mode="valid")
    frontal = np.radians(scoliosis) * np.sin(2 * np.pi * along / ends[-1])
    steps = np.stack(
        [np.sin(frontal), -np.sin(sagittal) * np.cos(frontal), -np.cos(sagittal) * np.cos(frontal)], axis=1
    )
    path = np.cumsum(steps, axis=0) * (along[1] - along[0])
    return np.stack([np.interp(ends, along, path[:, axis]) for axis in range(3)], axis=1)
