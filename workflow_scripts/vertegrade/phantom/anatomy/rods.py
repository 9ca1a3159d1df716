"""Drawing bones made of rods: ellipsoids swept along straight lines (see posterior.py for the row of a rod)."""

from dataclasses import dataclass

import numpy as np

from vertegrade.arrays import Floats32
from vertegrade.phantom.anatomy.curve import Pose
from vertegrade.phantom.anatomy.grid import Box, Grid
from vertegrade.phantom.anatomy.posterior import Rods


@dataclass(frozen=True, eq=False)
class Bone:
    """Rods in the local axes of a pose, with a cortex (mm, HU) round spongiosa (HU)."""

    pose: Pose
    rods: Rods
    cortex_mm: float
    cortical_hu: float
    trabecular_hu: float


def rod_distance(grid: Grid, box: Box, pose: Pose, rod: Rods) -> tuple[Floats32, Floats32]:
    """Signed distance (mm, about) from a rod, and from the same rod without ends."""
    right, anterior, superior = grid.local(box, pose)
    a, b, radii = rod[:3], rod[3:6], rod[6:]
    q = [(c - a[n]) / radii[n] for n, c in enumerate((right, anterior, superior))]
    along = (b - a) / radii
    length = float(along @ along)
    if length < 1e-6:
        ball = _from_axis(q, along, radii, np.zeros((), np.float32))
        return ball, ball
    place = sum(q[n] * along[n] for n in range(3)) / np.float32(length)
    return _from_axis(q, along, radii, place.clip(0, 1)), _from_axis(q, along, radii, place)


def _from_axis(q: list[Floats32], along: Floats32, radii: Floats32, place: Floats32) -> Floats32:
    """First-order distance from an ellipsoid swept to `place` along the rod (Quilez, sdEllipsoid)."""
    rest = [q[n] - place * along[n] for n in range(3)]
    k0 = np.sqrt(rest[0] ** 2 + rest[1] ** 2 + rest[2] ** 2)
    k1 = np.sqrt(sum((rest[n] / radii[n]) ** 2 for n in range(3))) + np.float32(1e-6)
    return np.asarray(k0 * (k0 - 1) / k1)


def paint_rods(hu: Floats32, grid: Grid, bone: Bone) -> None:
    """Draw a bone's rods; the cortex ignores their ends, so that none is left where one joins the next."""
    edge = np.float32(np.cbrt(grid.spacing.prod()))
    for rod in bone.rods:
        box = grid.box(bone.pose.world(rod[:6].reshape(2, 3).astype(float)), float(rod[6:].max()) + 1)
        if box is None:
            continue
        distance, line = rod_distance(grid, box, bone.pose, rod)
        image = hu[box]
        near = distance < edge
        values, distance, line = image[near], distance[near], line[near]
        inside = (0.5 - distance / edge).clip(0, 1)
        core = (0.5 - (line + np.float32(bone.cortex_mm)) / edge).clip(0, 1)
        drawn = np.float32(bone.cortical_hu) * (1 - core) + np.float32(bone.trabecular_hu) * core
        image[near] = np.maximum(values, values * (1 - inside) + drawn * inside)
