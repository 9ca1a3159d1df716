"""The ends of the spine, drawn around the vertebrae that have a truth: C3-C5 above, S3-S5 and the coccyx below.

They join the ends of a spine that is already stacked, so that nothing else of the patient depends on them.
"""

from dataclasses import replace

import numpy as np

from vertegrade.arrays import Floats32
from vertegrade.levels import LABEL_OF
from vertegrade.phantom.anatomy.body import Body, BodyPlan, build_body
from vertegrade.phantom.anatomy.curve import CLEARANCE_MM, Pose, clearance
from vertegrade.phantom.anatomy.findings import uneven
from vertegrade.phantom.anatomy.person import SACRAL, Person, Vertebra
from vertegrade.phantom.anatomy.posterior import cervical_rods, sacral_rods

_NECK_GAP_MM = 4.6
_FUSED_GAP_MM = 1.2
# Height, depth, width (mm) of S3, S4, S5 and the coccyx, and how far each bends forwards from the one above (degrees).
_TAIL = ((18.0, 15.0, 30.0, -6.0), (15.0, 12.0, 26.0, 12.0), (13.0, 10.0, 22.0, 22.0), (22.0, 8.0, 14.0, 26.0))
_SECOND_BEND = -12.0  # S2 leans back from S1: the promontory


def with_ends(rng: np.random.Generator, person: Person, vertebrae: tuple[Vertebra, ...]) -> tuple[Vertebra, ...]:
    """Vertebrae (from C6 to S2, the head first) with C3-C5 before them and S3 to the coccyx behind them."""
    sacral = [v for v in vertebrae if v.label == SACRAL]
    rods = {id(v): sacral_rods(n, v.body, person.size) for n, v in enumerate(sacral)}
    rods |= {id(v): cervical_rods(rng, v.label, v.body, person.size) for v in vertebrae if 0 < v.label < LABEL_OF["T1"]}
    spine = [replace(v, rods=rods.get(id(v), v.rods)) for v in vertebrae]
    bend = np.deg2rad(_SECOND_BEND + rng.normal(0, 5))
    spine[-1] = replace(spine[-1], pose=_hung(spine[-2], spine[-1].body, bend))
    for label in (5, 4, 3):
        spine.insert(0, _cervical(rng, person, spine[0], label))
    for number, (height, depth, width, bend) in enumerate(_TAIL):
        size = person.size * rng.uniform(0.92, 1.08)
        plan = _plain(rng, height * size, depth * size, width * size)
        spine.append(_sacral(rng, person, spine[-1], plan, bend + rng.normal(0, 5), number + 2))
    return tuple(spine)


def _plain(rng: np.random.Generator, height: float, depth: float, width: float) -> BodyPlan:
    return BodyPlan(
        half_width=width / 2,
        half_depth=depth / 2,
        squareness=0.0,
        height_anterior=height * rng.uniform(0.97, 1.06),
        height_posterior=height,
        dish_superior=0.5,
        dish_inferior=0.5,
        waist=0.06,
        waves=uneven(rng, 0.1),
    )


def _cervical(rng: np.random.Generator, person: Person, below: Vertebra, label: int) -> Vertebra:
    """C5, C4 or C3 on the vertebra below it: a little smaller, with a little lordosis."""
    share = rng.uniform(0.95, 1.0)
    old = below.body
    height = share * float(below.healthy_heights[2])
    plan = replace(
        _plain(rng, height, 2 * share * old.half_depth, 2 * share * old.half_width),
        height_anterior=height * rng.uniform(0.94, 1.02),
        dish_superior=0.9,
        dish_inferior=1.4,
        waist=0.1,
    )
    body = build_body(plan)
    axes = _pitched(below.pose, np.deg2rad(rng.normal(-2.5, 2.0)))
    pose = _lifted(below, body, _joined(below, body, axes, _NECK_GAP_MM * person.size))
    return replace(
        below,
        label=label,
        pose=pose,
        body=body,
        rods=cervical_rods(rng, label, body, person.size),
        ribs=np.zeros((0, 9), np.float32),
        disc_top=_flat(body, _NECK_GAP_MM),
        healthy_heights=body.heights(),
        height_loss=0.0,
        genant_grade=0,
        shape="",
        finding="",
    )


def _joined(below: Vertebra, body: Body, axes: np.ndarray, gap: float) -> Pose:
    """Pose of a body above another: posterior rims in line, `gap` (mm) between them."""
    between = below.pose.axes[2] + axes[2]
    foot = below.pose.world(below.body.column_ends()[2, 0]) + gap * between / np.linalg.norm(between)
    return Pose(foot - body.column_ends()[2, 1] @ axes, axes)


def _lifted(below: Vertebra, body: Body, pose: Pose) -> Pose:
    """The upper body's pose, raised until it is clear of the lower body."""
    for _ in range(8):
        lack = CLEARANCE_MM - clearance(below.body, below.pose, body, pose)
        if lack <= 0.05:
            break
        pose = Pose(pose.origin + lack * below.pose.axes[2], pose.axes)
    return pose


def _sacral(
    rng: np.random.Generator, person: Person, above: Vertebra, plan: BodyPlan, bend_degrees: float, number: int
) -> Vertebra:
    """A fused segment below another, bent forwards."""
    body = build_body(plan)
    pose = _hung(above, body, np.deg2rad(bend_degrees))
    return replace(
        above,
        pose=pose,
        body=body,
        rods=sacral_rods(number, body, person.size * rng.uniform(0.95, 1.05)),
        disc_top=_flat(body, _FUSED_GAP_MM),
        vacuum=0.0,
        healthy_heights=body.heights(),
    )


def _hung(above: Vertebra, body: Body, bend: float) -> Pose:
    """Pose of a fused body below another, bent forwards (radians) and clear of it."""
    axes = _pitched(above.pose, -bend)
    between = above.pose.axes[2] + axes[2]
    head = above.pose.world(above.body.column_ends()[1, 1]) - _FUSED_GAP_MM * between / np.linalg.norm(between)
    pose = Pose(head - body.column_ends()[1, 0] @ axes, axes)
    for _ in range(8):
        lack = CLEARANCE_MM - clearance(body, pose, above.body, above.pose)
        if lack <= 0.05:
            break
        pose = Pose(pose.origin - lack * above.pose.axes[2], pose.axes)
    return pose


def _pitched(pose: Pose, angle: float) -> np.ndarray:
    """Axes pitched forwards by an angle (radians) about the right axis."""
    right, anterior, superior = pose.axes
    return np.array(
        [
            right,
            np.cos(angle) * anterior - np.sin(angle) * superior,
            np.cos(angle) * superior + np.sin(angle) * anterior,
        ]
    )


def _flat(body: Body, gap: float) -> Floats32:
    """Upper limit (mm) of the disc on a body whose neighbour is flat."""
    return np.asarray(np.maximum(body.top, body.column_ends()[:, 0, 2].max()) + gap, np.float32)
