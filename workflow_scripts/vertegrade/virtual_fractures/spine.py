"""The spine after its collapses: where each vertebra lies then, and where each place of the new scan came from.

Vertebrae stay rigid, but for the collapsed ones; discs keep their heights at the rims and fill what an endplate left.
The spine above follows the wedge. A patient lies on his back on the table, so that the discs next to the fracture open
in front and those above bring the trunk back to the table.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from vertegrade.arrays import Floats, Floats32
from vertegrade.levels import craniocaudal_rank
from vertegrade.virtual_fractures.body import INFERIOR, SUPERIOR, RealBody
from vertegrade.virtual_fractures.collapse import Collapse

REACH_MM = 60.0  # bodies further above or below than this have nothing to do with a place
MOST_DISC_TILT = np.deg2rad(3.0)  # of one disc, by which the trunk is brought back
# Soft tissue further than this (mm) from the bodies' middles moves as what is nearer does, without an edge between.
BESIDE_MM, BEHIND_MM, AHEAD_MM, ABOVE_MM, SOFT_MM = 30.0, 60.0, 25.0, 40.0, 20.0
EDGE_MM = 1.0  # how far outside of its points an endplate may reach
NEAR_MM, FAR_MM = 5.0, 30.0  # outside the wall: where discs move as such, and where only soft tissue is


@dataclass(frozen=True, eq=False)
class Link:
    """A vertebra of the chain, from the feet up: its body, where it lies afterwards (4x4 to RAS mm), its collapse."""

    body: RealBody
    pose: Floats
    collapse: Collapse | None


def posed(
    bodies: list[RealBody], collapses: dict[int, Collapse], jiggles: dict[int, Floats], regained: float
) -> list[Link]:
    """The chain of bodies, from the feet up, with its collapses by label.

    jiggles: small rigid motions (4x4, in the body's axes) of single vertebrae by label. regained: share of a wedge's
    angle that the two discs next to it make good; the discs above make good the rest.
    """
    tilts = _disc_tilts(bodies, collapses, regained)
    pose, poses = bodies[0].pose, [bodies[0].pose]
    for n, (lower, upper) in enumerate(pairwise(bodies)):
        between = np.linalg.inv(lower.pose) @ upper.pose
        pose = pose @ _rim_motion(collapses.get(lower.label), SUPERIOR) @ _disc_tilt(lower, upper, tilts[n]) @ between
        pose = pose @ np.linalg.inv(_rim_motion(collapses.get(upper.label), INFERIOR))
        poses.append(pose)
    return [
        Link(body, pose @ jiggles.get(body.label, np.eye(4)), collapses.get(body.label))
        for body, pose in zip(bodies, poses, strict=True)
    ]


def _disc_tilts(bodies: list[RealBody], collapses: dict[int, Collapse], regained: float) -> list[float]:
    """Angle (radians) by which each disc, from the feet up, opens in front."""
    tilts = [0.0] * (len(bodies) - 1)
    joined = [craniocaudal_rank(a.label) - craniocaudal_rank(b.label) <= 1 for a, b in pairwise(bodies)]
    for n, body in enumerate(bodies):
        if body.label not in collapses:
            continue
        angle = sum(_rim_angle(collapses[body.label], end) for end in (SUPERIOR, INFERIOR))
        shares = {n - 1: regained / 2, n: regained / 2} | {n + k: (1 - regained) / 4 for k in range(1, 5)}
        for disc, share in shares.items():
            if 0 <= disc < len(tilts) and joined[disc]:
                tilts[disc] += share * angle
    return [float(np.clip(tilt, -MOST_DISC_TILT, MOST_DISC_TILT)) for tilt in tilts]


def _rim_angle(collapse: Collapse, end: int) -> float:
    """Angle (radians) by which an endplate's rim tilts towards the middle in front."""
    anterior, posterior = collapse.rim_loss(end)
    return float(np.arctan2(anterior - posterior, collapse.body.columns[0] - collapse.body.columns[2]))


def _rim_motion(collapse: Collapse | None, end: int) -> Floats:
    """Rigid motion (4x4, in the body's axes) of an endplate's rim."""
    if collapse is None:
        return np.eye(4)
    sign = -1.0 if end == SUPERIOR else 1.0
    behind = np.array([0, collapse.body.columns[2], collapse.body.ends[end, 2]])
    motion = _turned(behind, sign * _rim_angle(collapse, end))
    motion[2, 3] += sign * collapse.rim_loss(end)[1]
    return motion


def _disc_tilt(lower: RealBody, upper: RealBody, angle: float) -> Floats:
    """Rigid motion (4x4, in the lower body's axes) by which the disc between two bodies opens in front."""
    top = lower.pose @ np.array([0, lower.middle, lower.ends[SUPERIOR].mean(), 1])
    bottom = upper.pose @ np.array([0, upper.middle, upper.ends[INFERIOR].mean(), 1])
    centre = np.linalg.inv(lower.pose) @ ((top + bottom) / 2)
    return _turned(centre[:3], angle)


def _turned(pivot: Floats, angle: float) -> Floats:
    """Rotation (4x4) about the axis to the right through a pivot: what lies in front goes up (radians)."""
    cosine, sine = np.cos(angle), np.sin(angle)
    motion = np.eye(4)
    motion[1:3, 1:3] = [[cosine, -sine], [sine, cosine]]
    motion[:3, 3] = pivot - motion[:3, :3] @ pivot
    return motion


def sources(chain: list[Link], places: Floats32) -> tuple[Floats32, Floats32]:
    """Where material at places (N, 3), RAS mm, of the new scan came from (N, 3), and its density (N,) as a factor."""
    held = _near_spine(chain, places)
    chain = _within_reach(chain, places)
    above = np.stack([_inside(link, held)[:, 2] for link in chain])  # height over each body's middle plane
    lower = (above >= 0).sum(axis=0) - 1  # bodies lie above each other, so these are the lowest ones
    moved = np.array(places, np.float32)
    dense = np.ones(len(places), np.float32)
    for n in range(-1, len(chain)):
        chosen = np.flatnonzero(lower == n)
        if not len(chosen):
            continue
        at = held[chosen]
        if n < 0 or n + 1 == len(chain):  # below the first body, or above the last
            shift, dense[chosen] = _came_from(chain[max(n, 0)], at)
            moved[chosen] += shift
            continue
        (beneath, dense_below), (over, dense_above) = _came_from(chain[n], at), _came_from(chain[n + 1], at)
        share = _share_of_upper(chain[n], chain[n + 1], at)
        moved[chosen] += (1 - share[:, None]) * beneath + share[:, None] * over
        dense[chosen] = np.where(share <= 0, dense_below, np.where(share >= 1, dense_above, 1))
    return moved, dense


def _within_reach(chain: list[Link], places: Floats32) -> list[Link]:
    """The bodies of a chain that have to do with places (N, 3), RAS mm: all at their heights, and one more each way."""
    heights = [float(link.pose[2, 3]) for link in chain]
    low = max(sum(height < places[:, 2].min() - REACH_MM for height in heights) - 1, 0)
    high = len(chain) - max(sum(height > places[:, 2].max() + REACH_MM for height in heights) - 1, 0)
    return chain[low:high]


def _near_spine(chain: list[Link], places: Floats32) -> Floats32:
    """Places (N, 3), RAS mm; those far beside, before or behind the bodies are held near them, at the same height."""
    middles = np.array([link.pose @ [0, link.body.middle, 0, 1] for link in chain])
    held = places.copy()
    for axis, low, high in ((0, -BESIDE_MM, BESIDE_MM), (1, -BEHIND_MM, AHEAD_MM)):
        centre = np.interp(places[:, 2], middles[:, 2], middles[:, axis]).astype(np.float32)
        held[:, axis] = centre + _held(places[:, axis] - centre, low, high)
    return held


def _inside(link: Link, places: Floats32) -> Floats32:
    """Places (N, 3), RAS mm, in the axes of a body of the new scan."""
    return np.asarray((places - link.pose[:3, 3]) @ link.pose[:3, :3], np.float32)


def _held(values: Floats32, low: float, high: float) -> Floats32:
    """Values that go on by at most SOFT_MM beyond two limits."""
    over, under = np.maximum(values - high, 0), np.maximum(low - values, 0)
    soft = np.tanh(over / SOFT_MM) - np.tanh(under / SOFT_MM)
    return np.asarray(values.clip(low, high) + SOFT_MM * soft, np.float32)


def _came_from(link: Link, places: Floats32) -> tuple[Floats32, Floats32]:
    """By how much (N, 3; mm) places that move with a body are away from where they came from, and their density."""
    held = _inside(link, places)
    held[:, 2] = _held(held[:, 2], -ABOVE_MM, ABOVE_MM)
    before, dense = held.copy(), np.ones(len(held), np.float32)
    if link.collapse is not None:
        shift, radial, factor = link.collapse.source(held[:, 0], held[:, 1], held[:, 2])
        middle = np.float32(link.body.middle)
        before[:, 0] = held[:, 0] * radial
        before[:, 1] = middle + (held[:, 1] - middle) * radial
        before[:, 2] += shift
        in_bone = link.body.share(before[:, 0], before[:, 1]) < 1
        dense = np.where(in_bone, 1 + link.collapse.density * (factor - 1), 1).astype(np.float32)
    old = before @ link.body.pose[:3, :3].T.astype(np.float32) + link.body.pose[:3, 3].astype(np.float32)
    new = held @ link.pose[:3, :3].T.astype(np.float32) + link.pose[:3, 3].astype(np.float32)
    return old - new, dense


def _share_of_upper(lower: Link, upper: Link, places: Floats32) -> Floats32:
    """How far (0-1) places between two bodies' middles move with the upper one: near the spine, across the disc."""
    low, high = _inside(lower, places), _inside(upper, places)
    over, under = _over_endplate(lower, low, SUPERIOR), _over_endplate(upper, high, INFERIOR)
    edge = np.minimum(EDGE_MM, 0.25 * (over + under).clip(0))  # an endplate's outer side moves with its body
    disc = ((over - edge) / np.maximum(over + under - 2 * edge, 1e-3)).clip(0, 1)
    far = (low[:, 2] / np.maximum(low[:, 2] - high[:, 2], 1e-3)).clip(0, 1)
    share = lower.body.share(low[:, 0], low[:, 1])
    radius = np.hypot(low[:, 0], low[:, 1] - lower.body.middle) / np.maximum(share, 1e-3)
    away = (((share - 1) * radius - NEAR_MM) / (FAR_MM - NEAR_MM)).clip(0, 1)
    away = away * away * (3 - 2 * away)
    return np.asarray((1 - away) * disc + away * far, np.float32)


def _over_endplate(link: Link, local: Floats32, end: int) -> Floats32:
    """How far (mm) places in a body's axes lie outside an endplate of the new scan; negative inside."""
    right, anterior, superior = local.T
    surface = (
        link.body.endplate(end, right, anterior)
        if link.collapse is None
        else link.collapse.new_surface(end, right, anterior)
    )
    return np.asarray(superior - surface if end == SUPERIOR else surface - superior, np.float32)
