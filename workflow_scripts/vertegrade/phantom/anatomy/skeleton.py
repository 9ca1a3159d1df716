"""Bones that the spine must not be mistaken for: ribs, sternum, collar bones, shoulder blades, arms, pelvis, thighs.

Proportions after Gray's Anatomy; crude in shape, right in place, size and brightness.
"""

import numpy as np

from vertegrade.phantom.anatomy.curve import Pose, Vector
from vertegrade.phantom.anatomy.person import Patient, Vertebra
from vertegrade.phantom.anatomy.rods import Bone
from vertegrade.phantom.anatomy.trunk import Trunk


def rib_bone(vertebra: Vertebra) -> Bone:
    """Both ribs of a thoracic vertebra."""
    material = vertebra.material
    return Bone(vertebra.pose, vertebra.ribs, 0.9, material.cortical_hu, material.trabecular_hu * 0.8 + 20)


def outer_bones(patient: Patient) -> list[Bone]:
    """All bones that do not belong to a vertebra; follows from the patient's seed."""
    rng = np.random.default_rng([patient.seed, 2])
    frame = _Frame(patient)
    return _sternum(rng, frame) + _shoulders(patient, frame) + _pelvis(rng, frame)


class _Frame:
    """Places bones by rank along the spine, u to the right and v in front of it, in the patient's frame (mm)."""

    def __init__(self, patient: Patient) -> None:
        turn = patient.look.turn
        self.axes = np.array([[np.cos(turn), np.sin(turn), 0], [-np.sin(turn), np.cos(turn), 0], [0, 0, 1.0]])
        self.trunk, self.size = Trunk(patient), patient.person.size
        self.cortical, self.trabecular = 0.9 * patient.person.cortical_hu, patient.person.bone_hu * 0.9 + 30

    def point(self, rank: float, u: float, v: float, up: float = 0.0) -> list[float]:
        """A point `up` (mm) above the height of a rank; u, v and up grow with the person's size."""
        z = self.trunk.height_of(rank)
        course = self.trunk.course(np.array([z]))
        return [float(course.x[0]) + u * self.size, float(course.y[0]) + v * self.size, z + up * self.size]

    def front(self, rank: float) -> float:
        """v / size of the inside of the body wall in front of a rank."""
        return float(self.trunk.course(np.array([self.trunk.height_of(rank)])).front[0]) / self.size

    def bone(self, rods: list[list[float]], cortex_mm: float = 1.2) -> Bone:
        """Rods whose ends are points of the patient's frame."""
        return Bone(Pose(np.zeros(3), self.axes), np.array(rods, np.float32), cortex_mm, self.cortical, self.trabecular)

    def plate(
        self, centre: list[float], normal: list[float], along: list[float], radii: tuple[float, float, float]
    ) -> Bone:
        """A flat bone: an ellipsoid with radii (mm) across, along its normal and along `along`."""
        n = np.array(normal) / np.linalg.norm(normal)
        up = np.array(along) - n * (np.array(along) @ n)
        up /= np.linalg.norm(up)
        axes = np.array([np.cross(n, up), n, up])
        rod = np.array([[0, 0, 0, 0, 0, 0, *(self.size * np.array(radii))]], np.float32)
        return Bone(Pose(np.array(centre) @ self.axes, axes @ self.axes), rod, 1.3, self.cortical, self.trabecular)


def _sternum(rng: np.random.Generator, frame: _Frame) -> list[Bone]:
    """Manubrium (T2-T4), body (T5-T9), and the cartilage of the ribs next to it."""
    size, shift = frame.size, rng.normal(0, 0.4)
    ranks = 9.6 + shift, 11.4 + shift, 11.6 + shift, 15.6 + shift + rng.normal(0, 0.4)
    points = [np.array(frame.point(rank, rng.normal(0, 2), frame.front(rank) - 3)) for rank in ranks]
    flat, broad = 4.8 * size, rng.uniform(15, 19) * size
    manubrium = [*points[0], *points[1], 1.45 * broad, flat + 1, flat]
    sternum = frame.bone([manubrium, [*points[2], *points[3], broad, flat, flat]], 1.0)
    cartilage = rng.uniform(70, 160)
    rods = []
    for share in np.linspace(0.05, 1.0, 5):
        centre = points[2] + share * (points[3] - points[2])
        for side in (-1, 1):
            reach = np.array([side * (52 + 30 * share), -10 - 8 * share, -4 - 14 * share]) * size
            edge = centre + np.array([side * broad, 0, 0])
            rods.append([*edge, *(centre + reach), 6.0, 4.5, 6.0])
    hard = cartilage + rng.uniform(0, 250)  # calcified at its rim in the old
    return [Bone(sternum.pose, np.array(rods, np.float32), 0.6, hard, cartilage), sternum]


def arms(patient: Patient) -> list[tuple[Vector, Vector]]:
    """Shoulder joint and elbow (patient's frame, mm) of both arms: raised in most scans, else hanging down."""
    rng = np.random.default_rng([patient.seed, 4])
    frame = _Frame(patient)
    raised = rng.random() < 0.6
    ends = []
    for side in (-1, 1):
        wide = 1 + rng.normal(0, 0.04)
        if raised:
            head, elbow = frame.point(8.8, side * 146 * wide, 5, 35), frame.point(4.0, side * 185 * wide, 30, 190)
        else:
            head, elbow = frame.point(8.8, side * 158 * wide, 5), frame.point(19.0, side * 215 * wide, -10)
        ends.append((np.array(head), np.array(elbow)))
    return ends


def _shoulders(patient: Patient, frame: _Frame) -> list[Bone]:
    """Collar bones, shoulder blades and upper arms."""
    bones = []
    for head, elbow in arms(patient):
        side = 1 if elbow[0] > frame.point(10, 0, 0)[0] else -1
        lift = 35.0 if elbow[2] > head[2] else 0.0
        middle = frame.point(8.6, side * 22, frame.front(9.6) - 2)
        bend = frame.point(7.6, side * 75, frame.front(8.5), 0.3 * lift)
        tip = head + np.array([-side * 6, 4, 26]) * frame.size
        bones.append(frame.bone([[*middle, *bend, 6.5, 6, 6], [*bend, *tip, 6.5, 6, 6]]))
        bones.append(frame.bone([[*head, *head, 23, 23, 23]], 1.0))
        bones.append(frame.bone([[*head, *elbow, 11.5, 11.5, 11.5]], 4.0))
        blade = frame.point(11.6, side * (88 + 0.3 * lift), -34, 0.3 * lift)
        bones.append(
            frame.plate(blade, [side * 0.42, -0.9, 0.15], [side * (0.12 + 0.006 * lift), 0.1, 1.0], (44, 4.0, 76))
        )
        inner, neck = frame.point(10.4, side * 60, -44), head + np.array([-side * 32, -14, -6]) * frame.size
        bones.append(frame.bone([[*inner, *tip, 6, 6, 8], [*neck, *head, 9, 13, 16]]))
    return bones


def _pelvis(rng: np.random.Generator, frame: _Frame) -> list[Bone]:
    """Iliac wings, hips and thighs, pubis and ischium."""
    bones = []
    wide, tilt = 1 + rng.normal(0, 0.05), rng.normal(0, 0.08)
    s1, size = 25.0, frame.size
    for side in (-1, 1):
        hip = np.array(frame.point(s1, side * 88 * wide, 12, -88))
        centre = frame.point(s1, side * 96 * wide, -8, -14)
        bones.append(frame.plate(centre, [side * 0.80, -0.42 + tilt, -0.42], [-side * 0.3, -0.5, 1.0], (62, 5.5, 70)))
        joint = frame.point(s1, side * 62 * wide, -38, -12)
        trochanter, shaft = (hip + np.array(way) * size for way in ([side * 52, -8, -18], [side * 52, 5, -170]))
        symphysis = hip + np.array([-side * 80 * wide, 42, -22]) * size
        seat = hip + np.array([-side * 28, -22, -75]) * size
        bones.append(frame.bone([[*joint, *hip, 7, 14, 14], [*hip, *hip, 33, 31, 33], [*hip, *seat, 13, 16, 13]], 1.5))
        bones.append(frame.bone([[*hip, *hip, 24, 24, 24], [*hip, *trochanter, 14, 14, 15]], 1.2))
        bones.append(frame.bone([[*trochanter, *shaft, 15, 15, 15]], 4.5))
        bones.append(frame.bone([[*hip, *symphysis, 8, 8, 9], [*seat, *symphysis, 7, 6, 8]]))
    return bones
