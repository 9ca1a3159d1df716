"""Stacking bodies into a spine: each lies on the disc of the one below, so a collapsed body tilts all above it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vertegrade.fractures.collapse import PLANE_HALF
from vertegrade.phantom.anatomy.body import Body

Vector = NDArray[np.float64]

MIN_GAP_MM = 1.4  # between the rims of two bodies in the mid-sagittal plane
CLEARANCE_MM = 0.8  # between two bodies anywhere; scoliosis and ragged endplates bring rims together


@dataclass(frozen=True, eq=False)
class Pose:
    """Origin (RAS mm) and axes of a vertebra: rows right, anterior, superior as RAS unit vectors."""

    origin: Vector
    axes: Vector

    def world(self, local: Vector) -> Vector:
        """RAS points of local points (..., 3)."""
        return np.asarray(local @ self.axes + self.origin)


@dataclass(frozen=True)
class Disc:
    """Gaps (mm) between the anterior and posterior rims above a body."""

    anterior: float
    posterior: float


def axes_of(pitch: float, roll: float, turn: float) -> Vector:
    """Axes of a vertebra pitched forwards, rolled to the right and turned to the left (radians)."""
    superior = np.array([np.sin(roll), np.sin(pitch) * np.cos(roll), np.cos(pitch) * np.cos(roll)])
    right = np.array([np.cos(turn), np.sin(turn), 0.0])
    right -= superior * (right @ superior)
    right /= np.linalg.norm(right)
    return np.array([right, np.cross(superior, right), superior])


def _rim_slopes(body: Body) -> tuple[float, float]:
    """Angles (radians) of the superior and inferior rim: positive where it rises towards anterior."""
    ends = body.column_ends()
    run = ends[0, 0, 1] - ends[2, 0, 1]
    return tuple(float(np.arctan((ends[0, end, 2] - ends[2, end, 2]) / run)) for end in (0, 1))  # type: ignore[return-value]


def stack(
    bodies: list[Body], discs: list[Disc], rolls: Vector, turns: Vector, sacral_pitch: float, shifts: Vector
) -> list[Pose]:
    """Poses of bodies listed from below upwards; discs[k] lies on body k. Angles in radians, shifts (k, 2) in mm.

    The posterior rims line up, as in life; the whole is tilted so that it is upright from end to end.
    """
    pitches = [sacral_pitch]
    for k in range(1, len(bodies)):
        below, above = _rim_slopes(bodies[k - 1])[0], _rim_slopes(bodies[k])[1]
        pitches.append(pitches[-1] - below - _disc_angle(discs[k - 1], bodies[k - 1]) + above)
    pitch = np.array(pitches)
    for _ in range(3):
        poses = _place(bodies, discs, pitch, rolls, turns, shifts)
        chord = poses[-1].origin - poses[0].origin
        pitch = pitch - np.arctan2(chord[1], chord[2])
        rolls = rolls - np.arctan2(chord[0], chord[2])
    return _place(bodies, discs, pitch, rolls, turns, shifts)


def _disc_angle(disc: Disc, body: Body) -> float:
    return float(np.arctan((disc.anterior - disc.posterior) / (body.columns[0] - body.columns[2])))


def _place(
    bodies: list[Body], discs: list[Disc], pitch: Vector, rolls: Vector, turns: Vector, shifts: Vector
) -> list[Pose]:
    poses = [Pose(np.zeros(3), axes_of(pitch[0], rolls[0], turns[0]))]
    for k in range(1, len(bodies)):
        axes = axes_of(pitch[k], rolls[k], turns[k])
        rim = poses[-1].world(bodies[k - 1].column_ends()[2, 0])
        between = poses[-1].axes[2] + axes[2]
        up = between / np.linalg.norm(between)
        foot = rim + discs[k - 1].posterior * up + shifts[k, 0] * axes[0] + shifts[k, 1] * axes[1]
        pose = Pose(foot - bodies[k].column_ends()[2, 1] @ axes, axes)
        poses.append(_lifted(bodies[k - 1], poses[-1], bodies[k], pose, up))
    return poses


def _lifted(below: Body, below_pose: Pose, above: Body, above_pose: Pose, up: Vector) -> Pose:
    """The upper pose, raised along `up` until the bodies are clear of each other."""
    for _ in range(8):
        lack = CLEARANCE_MM - clearance(below, below_pose, above, above_pose)
        if lack <= 0.05:
            break
        above_pose = Pose(above_pose.origin + lack * up, above_pose.axes)
    return above_pose


def clearance(below: Body, below_pose: Pose, above: Body, above_pose: Pose) -> float:
    """Smallest distance (mm, along the lower body's axis) between two neighbours' endplates; negative: they overlap."""
    turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    share = np.array([0.0, 0.3, 0.6, 0.75, 0.9])[:, None]
    right = np.rint(share * above.half_width * np.cos(turn)).astype(int).ravel()
    anterior = np.rint(share * above.half_depth * np.sin(turn)).astype(int).ravel()
    under = np.stack([right, anterior, above.bottom[right + PLANE_HALF, anterior + PLANE_HALF]], axis=1)
    local = (above_pose.world(under) - below_pose.origin) @ below_pose.axes.T
    on = np.hypot(local[:, 0] / below.half_width, local[:, 1] / below.half_depth) < 1
    at = np.rint(local[:, :2]).astype(int).clip(-PLANE_HALF, PLANE_HALF) + PLANE_HALF
    gap = local[:, 2] - below.top[at[:, 0], at[:, 1]]
    return float(gap[on].min())
