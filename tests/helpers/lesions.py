"""Small drawings of phantom vertebrae with lesions that are placed by the test."""

from functools import cache
from typing import Any

import numpy as np

from vertegrade.levels import LABEL_OF
from vertegrade.metastasis.phantoms.lesions import Lesion
from vertegrade.phantom.anatomy.grid import Grid
from vertegrade.phantom.anatomy.patient import draw_patient
from vertegrade.phantom.anatomy.person import Patient, Vertebra
from vertegrade.phantom.anatomy.render import render
from vertegrade.settings.phantom import PhantomSettings

L2 = LABEL_OF["L2"]


@cache
def patient() -> Patient:
    settings = PhantomSettings(fractured_patients=0.0, mimics=0.0, subthreshold=0.0, scoliosis=0.0, variants=0.0)
    return draw_patient("mp0001", settings, 5)


def vertebra(label: int = L2) -> Vertebra:
    return next(v for v in patient().vertebrae if v.label == label)


@cache
def drawing() -> tuple[Grid, np.ndarray, np.ndarray]:
    """A grid of 1 mm around L2, its HU and mask; to be copied before they are changed."""
    centre = vertebra().pose.world(np.array([0.0, -12.0, 0.0]))
    shape, spacing = (96, 90, 60), np.array([1.0, 1.0, 1.0])
    origin = centre - spacing * np.array(shape) / 2
    hu, mask = render(patient(), origin, shape, spacing)
    return Grid(origin, shape, spacing), hu, mask


def ball(blastic: bool, centre: tuple[float, float, float], radius: float = 7.0, **changes: Any) -> Lesion:
    """A lesion without unevenness."""
    usual: dict[str, Any] = {
        "blastic": blastic, "centre": centre, "radii": (radius,) * 3, "waves": (), "hu": 800.0 if blastic else 40.0,
        "haze_mm": 0.5, "breaks": False, "place": "body",
    }  # fmt: skip
    return Lesion(**usual | changes)
