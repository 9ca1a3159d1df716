"""Where the spinal canal of a phantom runs: what a network that finds it learns from, and is measured by."""

import numpy as np
from numpy.typing import NDArray

from vertegrade.phantom.anatomy.person import Patient

BEHIND_WALL_MM, WALL_SHARE = 8.5, 0.9  # of surroundings.py, which draws what the canal contains


def canal_places(patient: Patient) -> NDArray[np.float64]:
    """Middle of the canal at each vertebra (n, 3), RAS mm, from C3 down to the coccyx.

    Halfway between the body's posterior wall and the laminae, at the height of the body's middle.
    """
    places = []
    for vertebra in patient.vertebrae:
        behind = WALL_SHARE * vertebra.body.half_depth + BEHIND_WALL_MM * patient.person.size
        places.append(vertebra.pose.world(vertebra.body.centre() - [0.0, behind, 0.0]))
    return np.stack(places)
