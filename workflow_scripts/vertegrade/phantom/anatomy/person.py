"""What a phantom patient consists of: the person, the vertebrae in place, and the look of the tissues."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vertegrade.arrays import Floats32
from vertegrade.fractures.collapse import PLANE_HALF
from vertegrade.levels import LABEL_OF, craniocaudal_rank
from vertegrade.phantom.anatomy.body import Body
from vertegrade.phantom.anatomy.curve import Pose
from vertegrade.phantom.anatomy.findings import Material
from vertegrade.phantom.anatomy.posterior import Rods

SACRAL = 0  # label of S1 to the coccyx, which are drawn but not named
GRADED = tuple(range(LABEL_OF["T1"], LABEL_OF["L5"] + 1))  # of most patients; few have L6 or T13, or lack T12 or L5


def is_graded(label: int) -> bool:
    """Whether vertebrae of this label have a truth: T1 to L6, with T13."""
    return LABEL_OF["T1"] <= craniocaudal_rank(label) <= LABEL_OF["L6"]


@dataclass(frozen=True)
class Person:
    """What all vertebrae of a patient share. Factors are relative to the mean, offsets are added to ratios."""

    age: int
    sex: str
    size: float
    slenderness: float
    ratio_anterior: float
    ratio_middle: float
    bone_hu: float
    cortical_hu: float
    fat_mm: float


@dataclass(frozen=True, eq=False)
class Vertebra:
    """One vertebra in place. rods and ribs are in local axes; disc_top is the upper limit of the disc above (mm)."""

    label: int
    pose: Pose
    body: Body
    material: Material
    rods: Rods
    ribs: Rods
    disc_top: Floats32
    disc_hu: float
    vacuum: float
    healthy_heights: NDArray[np.float64]
    height_loss: float
    genant_grade: int
    shape: str
    finding: str


@dataclass(frozen=True)
class Look:
    """What does not follow from anatomy: how the trunk lies, and tissues that training scans make strange.

    turn: of trunk and organs about the long axis (radians, towards the left). Soft tissues other than gas and lung have
    soft_scale * HU + soft_hu.
    """

    turn: float = 0.0
    soft_hu: float = 0.0
    soft_scale: float = 1.0


@dataclass(frozen=True, eq=False)
class Patient:
    """A patient. vertebrae run from the head down (C3 to the coccyx); seed makes the tissues around them."""

    patient_id: str
    person: Person
    vertebrae: tuple[Vertebra, ...]
    seed: int
    look: Look = Look()

    @property
    def age(self) -> int:
        """Age in years."""
        return self.person.age

    @property
    def sex(self) -> str:
        """F or M."""
        return self.person.sex

    @property
    def levels(self) -> tuple[int, ...]:
        """Labels with a truth, from the head down: T1 to L5 in most patients. Neck and sacrum are drawn around them."""
        return tuple(v.label for v in self.vertebrae if is_graded(v.label))

    def extent(self, first_label: int, last_label: int) -> NDArray[np.float64]:
        """Bounding box (x, y, z by low, high; RAS mm) of the bodies from first_label down to last_label."""
        first, last = craniocaudal_rank(first_label), craniocaudal_rank(last_label)
        chosen = [v for v in self.vertebrae if v.label and first <= craniocaudal_rank(v.label) <= last]
        if not chosen:
            raise ValueError(f"{self.patient_id} has no vertebra between {first_label} and {last_label}")
        corners = np.concatenate([body_corners(v) for v in chosen])
        return np.stack([corners.min(axis=0), corners.max(axis=0)], axis=1)


def body_corners(vertebra: Vertebra) -> NDArray[np.float64]:
    """RAS points (24, 3) on the rims of a body: its bounding box up to a millimetre or two."""
    body = vertebra.body
    turn = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    right, anterior = body.half_width * np.cos(turn), body.half_depth * np.sin(turn)
    at = np.rint(0.9 * right).astype(int) + PLANE_HALF, np.rint(0.9 * anterior).astype(int) + PLANE_HALF
    rims = [np.stack([right, anterior, surface[at]], axis=1) for surface in (body.top, body.bottom)]
    return vertebra.pose.world(np.concatenate(rims))
