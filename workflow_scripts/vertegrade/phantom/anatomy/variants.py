"""Spines with another number of vertebrae, and slipped ones. Each is drawn by its own generator.

About 4-8 % of people have L6 or T13, or lack T12 or L5 (VerSe'19 and '20: Sekuboyina 2021, Med Image Anal 73:102166).
"""

import numpy as np
from numpy.typing import NDArray

from vertegrade.levels import LABEL_OF

_SIZED_AS = {LABEL_OF["T13"]: LABEL_OF["T12"], LABEL_OF["L6"]: LABEL_OF["L5"]}


def draw_labels(rng: np.random.Generator, share: float) -> list[int]:
    """Labels from the lowest lumbar vertebra up to C6: L6, T13, no T12 or no L5 in the given share of people."""
    labels = list(range(LABEL_OF["L5"], LABEL_OF["C6"] - 1, -1))
    if rng.random() >= share:
        return labels
    kind = int(rng.integers(4))
    if kind == 0:
        return [LABEL_OF["L6"], *labels]
    if kind == 1:
        at = labels.index(LABEL_OF["T12"])
        return [*labels[:at], LABEL_OF["T13"], *labels[at:]]
    return [label for label in labels if label != (LABEL_OF["T12"] if kind == 2 else LABEL_OF["L5"])]


def sized_as(label: int) -> int:
    """The level whose mean sizes a vertebra has."""
    return _SIZED_AS.get(label, label)


def draw_slip(rng: np.random.Generator, labels: list[int], share: float) -> NDArray[np.float64]:
    """Forward shift (mm) of each body on the one below: 4-10 mm of L4 or L5 in the given share of people."""
    shifts = np.zeros(len(labels))
    if rng.random() < share:
        slipped = LABEL_OF["L4"] if rng.random() < 0.6 else LABEL_OF["L5"]
        if slipped in labels:
            shifts[labels.index(slipped)] = rng.uniform(4, 10)
    return shifts
