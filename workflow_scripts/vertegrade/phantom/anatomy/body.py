"""The vertebral body as three maps: the height of either endplate, and the radius of the wall.

Local axes of a vertebra: right, anterior, superior (mm), origin in the middle of the unfractured body. Endplates are
maps over (right, anterior), the wall is a map over (angle, superior). So any shape costs the renderer the same three
look-ups, and heights are read from the drawn surface itself.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from vertegrade.arrays import Floats32
from vertegrade.fractures.collapse import COLUMN, PLANE_HALF, Buckle, Cleft, Fracture, plane

ANGLES = 72  # samples of the wall around the axis, from right (0) through anterior (a quarter)
WALL_HALF = 26  # the wall's map reaches 26 mm up and down, one sample per millimetre
RIM = 0.83  # inside this share of the radius the endplate is dished
MIN_HEIGHT_MM = 3.5  # what remains between the endplates of the most crushed body


@dataclass(frozen=True)
class Dent:
    """A round dent in an endplate (mm; negative depth: a bump)."""

    superior: bool
    right: float
    anterior: float
    sigma: float
    depth: float


@dataclass(frozen=True)
class Lip:
    """An osteophyte: the wall juts out by size (mm) at a rim, around angle (radians from right towards anterior)."""

    superior: bool
    angle: float
    spread: float
    size: float


@dataclass(frozen=True, eq=False)
class BodyPlan:
    """All that shapes one body (mm). squareness 0: thoracic (heart-shaped), 1: lumbar (kidney-shaped)."""

    half_width: float
    half_depth: float
    squareness: float
    height_anterior: float
    height_posterior: float
    dish_superior: float
    dish_inferior: float
    waist: float
    waves: tuple[tuple[float, float, float, float], ...]
    dents: tuple[Dent, ...] = ()
    lips: tuple[Lip, ...] = ()
    fracture: Fracture | None = field(default=None)


@dataclass(frozen=True, eq=False)
class Body:
    """The three maps (mm, local axes), where the anterior, middle and posterior columns lie (mm anterior), a cleft."""

    top: Floats32
    bottom: Floats32
    wall: Floats32
    columns: tuple[float, float, float]
    half_width: float
    half_depth: float
    cleft: Cleft | None = None

    def column_ends(self) -> NDArray[np.float64]:
        """Superior and inferior end of the three columns in the mid-sagittal plane: [column, end, axis], local mm."""
        ends = np.zeros((3, 2, 3))
        axis = np.arange(-PLANE_HALF, PLANE_HALF + 1)
        for column, anterior in enumerate(self.columns):
            ends[column, :, 1] = anterior
            for end, surface in enumerate((self.top, self.bottom)):
                ends[column, end, 2] = np.interp(anterior, axis, surface[PLANE_HALF])
        return ends

    def heights(self) -> NDArray[np.float64]:
        """Anterior, middle and posterior height (mm)."""
        ends = self.column_ends()
        return np.asarray(ends[:, 0, 2] - ends[:, 1, 2])

    def centre(self) -> NDArray[np.float64]:
        """Middle of the body between its endplates (local mm)."""
        return np.array([0.0, 0.0, self.column_ends()[:, :, 2].mean()])


def angles() -> Floats32:
    """Angles (radians) of the samples of a wall map."""
    return np.linspace(0, 2 * np.pi, ANGLES, endpoint=False, dtype=np.float32)


def contour(plan: BodyPlan) -> Floats32:
    """Radius (mm) of the body's axial outline at each angle: a superellipse, concave towards the canal."""
    cosine, sine = np.cos(angles()), np.sin(angles())
    exponent = np.where(sine > 0, 2.0 + 0.45 * plan.squareness, 3.2)
    radius = np.abs(cosine / plan.half_width) ** exponent + np.abs(sine / plan.half_depth) ** exponent
    radius = radius ** (-1 / exponent)
    from_behind = (angles() - 1.5 * np.pi) / 0.45
    return np.asarray(radius * (1 - _concavity(plan) * np.exp(-(from_behind**2))), np.float32)


def _concavity(plan: BodyPlan) -> float:
    """Share of the half depth by which the posterior wall is hollow in the middle."""
    return 0.09 + 0.04 * plan.squareness


def radial_share(plan: BodyPlan) -> Floats32:
    """Distance from the axis over the contour's radius, on the endplate map: 1 on the wall."""
    right, anterior = plane()
    turn = np.arctan2(anterior, right) % (2 * np.pi)
    radius = np.interp(turn.ravel(), angles(), contour(plan), period=2 * np.pi).reshape(turn.shape)
    return np.asarray(np.hypot(right, anterior) / radius, np.float32)


def build_body(plan: BodyPlan) -> Body:
    """The maps of a plan, collapsed by its fracture to exactly the loss that the fracture names."""
    columns = (COLUMN * plan.half_depth, 0.0, -COLUMN * plan.half_depth * (1 - _concavity(plan)))
    top, bottom = _endplates(plan, columns)
    wall = _wall(plan, top, bottom)
    body = Body(top, bottom, wall, columns, plan.half_width, plan.half_depth)
    if plan.fracture is None:
        return body
    amplitude = plan.fracture.loss
    for _ in range(3):  # clamping and interpolation bend the relation a little
        collapsed = _collapse(plan, body, amplitude)
        amplitude *= plan.fracture.loss / float((1 - collapsed.heights() / body.heights()).max())
    return collapsed


def _endplates(plan: BodyPlan, columns: tuple[float, float, float]) -> tuple[Floats32, Floats32]:
    """Height (mm) of the healthy superior and inferior endplate: wedged rims, a dish inside them, waves and dents."""
    right, anterior = plane()
    share = (anterior - columns[2]) / (columns[0] - columns[2])
    half = 0.5 * (plan.height_posterior + (plan.height_anterior - plan.height_posterior) * share.clip(-0.15, 1.15))
    inside = np.clip(1 - (radial_share(plan) / RIM) ** 2, 0, 1)
    dish = inside * (2 - inside)
    # The inferior endplates of lumbar vertebrae have two parasagittal hollows (Cupid's bow).
    bow = 1 + 0.5 * plan.squareness * (np.exp(-(((np.abs(right) / plan.half_width - 0.4) / 0.2) ** 2)) - 0.2)
    ripple = np.zeros_like(right)
    for size, across, along, phase in plan.waves:
        ripple += size * np.cos(across * right + along * anterior + phase)
    top = half - plan.dish_superior * dish + ripple
    bottom = -half + plan.dish_inferior * dish * bow + ripple[::-1, ::-1]
    for dent in plan.dents:
        depth = dent.depth * np.exp(
            -((right - dent.right) ** 2 + (anterior - dent.anterior) ** 2) / (2 * dent.sigma**2)
        )
        if dent.superior:
            top = top - depth
        else:
            bottom = bottom + depth
    return np.asarray(top, np.float32), np.asarray(bottom, np.float32)


def _wall(plan: BodyPlan, top: Floats32, bottom: Floats32) -> Floats32:
    """Radius (mm) of the wall over (angle, superior): a waist between the rims, lips at them, a broken wall bulges."""
    radius = contour(plan)
    right = np.rint(0.9 * radius * np.cos(angles())).astype(int) + PLANE_HALF
    anterior = np.rint(0.9 * radius * np.sin(angles())).astype(int) + PLANE_HALF
    rims = top[right, anterior][:, None], bottom[right, anterior][:, None]
    level = np.arange(-WALL_HALF, WALL_HALF + 1, dtype=np.float32)[None]
    middle, half = (rims[0] + rims[1]) / 2, np.maximum(rims[0] - rims[1], 2) / 2
    waist = plan.waist * np.clip(1 - ((level - middle) / half) ** 2, 0, 1)
    wall = radius[:, None] * (1 - waist)
    for lip in plan.lips:
        rim = rims[0] - 1 if lip.superior else rims[1] + 1
        wall += lip.size * _around(lip)[:, None] * np.exp(-(((level - rim) / 2.5) ** 2))
    if plan.fracture is not None:
        wall += plan.fracture.widening * np.clip(1 - ((level - middle) / half) ** 2, 0, 1)
        for buckle in plan.fracture.buckle:
            broken = middle + buckle.level * half
            wall += buckle.size * _around(buckle)[:, None] * np.exp(-(((level - broken) / 2.2) ** 2))
    return np.asarray(wall, np.float32)


def _around(lip: Lip | Buckle) -> Floats32:
    """1 at the lip's angle, falling off to its sides."""
    turn = (angles() - lip.angle + np.pi) % (2 * np.pi) - np.pi
    return np.asarray(np.exp(-((turn / lip.spread) ** 2)), np.float32)


def _collapse(plan: BodyPlan, body: Body, amplitude: float) -> Body:
    """The body with its endplates moved together by amplitude x displacement x local height."""
    assert plan.fracture is not None
    height = body.top - body.bottom
    lost = np.minimum(amplitude * plan.fracture.displacement * height, height - MIN_HEIGHT_MM)
    top = np.asarray(body.top - plan.fracture.superior_share * lost, np.float32)
    bottom = np.asarray(body.bottom + (1 - plan.fracture.superior_share) * lost, np.float32)
    wall = _wall(plan, top, bottom)
    return replace(body, top=top, bottom=bottom, wall=wall, cleft=plan.fracture.cleft)
