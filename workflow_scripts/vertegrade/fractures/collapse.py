"""How a vertebra collapses: where the endplates fail and how far, how the wall buckles, and the cleft that may open.

Shared by the phantoms, which are drawn collapsed, and by virtual fractures, which are warped into real scans. A body
lies in its own axes: right, anterior, superior (mm), origin in its middle. The anterior, middle and posterior columns
are those whose heights are measured.

What is drawn follows these, where they have figures; the rest was judged by eye:
- Wang et al. 2020 (Chin Med J 133:2696, 263 fractures): the inferior endplate fails alone in 2 %, both the more often
  the more height is lost. Of five parts from front to back the deepest point of the superior endplate lies in the
  second in 45 %, in the first and in the third in 20 % each, hardly ever in the last. The upper third of the anterior
  wall breaks most, then the middle third. In osteoporotic ones the superior endplate fails more often too (Che-Nordin
  et al. 2018, Ann Transl Med 6:442).
- McKiernan and Faciszewski 2003 (Arthritis Rheum 48:1414): clefts lie in front below the superior endplate, in severe
  fractures. Stäbler et al. 1999 (J Comput Assist Tomogr 23:976): gas in 11 of 96 on CT. Yu et al. 2007 (AJNR 28:42):
  fluid as often as gas.
"""

from dataclasses import dataclass

import numpy as np

from vertegrade.arrays import Floats32

PLANE_HALF = 36  # endplate maps reach 36 mm to every side, one sample per millimetre
COLUMN = 0.85  # the anterior and posterior heights lie at this share of the half depth
# Relative losses of the anterior, middle and posterior column before the depression is added (lowest, highest).
PROFILES = {
    "wedge": ((1.0, 1.0), (0.4, 0.85), (0.0, 0.15)),
    "biconcave": ((0.2, 0.6), (1.0, 1.0), (0.0, 0.25)),
    "crush": ((0.85, 1.0), (0.85, 1.0), (0.85, 1.0)),
}
DIP = {"wedge": (0.15, 0.5), "biconcave": (0.15, 0.5), "crush": (0.05, 0.3)}  # depth of the depression, likewise
DEEPEST = {"wedge": (0.4, 0.2), "biconcave": (0.3, 0.25), "crush": (0.2, 0.35)}  # place, as a share of the half depth
BOTH = {"wedge": 0.0, "biconcave": 0.35, "crush": 0.35}  # how often both endplates fail, before the loss counts
INFERIOR_ALONE = 0.03
LARGEST = 1.35  # of the relative loss anywhere on the endplate


@dataclass(frozen=True)
class Buckle:
    """A bulge of the broken wall: it juts out by size (mm).

    level: its height, from -1 at the inferior endplate to 1 at the superior one. angle: radians from right towards
    anterior. spread: width along the wall (radians).
    """

    level: float
    angle: float
    spread: float
    size: float


@dataclass(frozen=True)
class Cleft:
    """A lens of gas or fluid in the broken body (mm). level: 0 at the inferior endplate to 1 at the superior one.

    thickness: at its centre, as a share of the height that is left there.
    """

    right: float
    anterior: float
    half_width: float
    half_depth: float
    level: float
    thickness: float
    hu: float


@dataclass(frozen=True, eq=False)
class Fracture:
    """How a body collapsed.

    displacement: loss of height over the endplate map (`plane`), 1 where a column lost most. loss: fraction lost there.
    So at a place the body loses loss * displacement of its height. superior_share: map of the share of it by which the
    superior endplate came down; the inferior one came up by the rest. widening: how far (mm) the wall moved outwards
    half way between the endplates.
    """

    shape: str
    loss: float
    displacement: Floats32
    superior_share: Floats32
    widening: float
    buckle: tuple[Buckle, ...]
    cleft: Cleft | None


def plane() -> tuple[Floats32, Floats32]:
    """Right and anterior coordinates (mm) of the samples of an endplate map."""
    axis = np.arange(-PLANE_HALF, PLANE_HALF + 1, dtype=np.float32)
    right, anterior = np.meshgrid(axis, axis, indexing="ij")
    return right, anterior


def cleft_distance(
    cleft: Cleft, right: Floats32, anterior: Floats32, superior: Floats32, top: Floats32, bottom: Floats32
) -> Floats32:
    """Signed distance (mm, about, along the height) of places from a cleft's surface: negative inside.

    top, bottom: superior coordinate of the endplates of the collapsed body at these places.
    """
    height = top - bottom
    across = (right - np.float32(cleft.right)) / np.float32(cleft.half_width)
    along = (anterior - np.float32(cleft.anterior)) / np.float32(cleft.half_depth)
    half = np.float32(cleft.thickness / 2) * height * (1 - across**2 - along**2)
    return np.asarray(np.abs(superior - bottom - np.float32(cleft.level) * height) - half)


def draw_fracture(
    rng: np.random.Generator, half_width_mm: float, half_depth_mm: float, waist: float, loss: float, shape: str
) -> Fracture:
    """A collapse of the given loss and shape of a body of this size; fresh ones are ragged, old ones smooth.

    waist: share of the radius by which the body is narrower half way between its endplates. loss: fraction of its
    height that the column lost that lost most. shape: one of SHAPES.
    """
    ragged = rng.uniform(0, 1)
    right, anterior = plane()
    displacement, share = _endplates(rng, right / half_width_mm, anterior / half_depth_mm, shape, loss, ragged)
    # The waist fills up as the body is squeezed.
    widening = half_depth_mm * (waist * min(loss, 0.6)) + rng.uniform(0, 1.2) * min(loss / 0.3, 1.5)
    front = np.interp(COLUMN * half_depth_mm, anterior[0], displacement[PLANE_HALF])
    buckles = _buckles(rng, shape, loss, float(front) * loss, ragged)
    cleft = _cleft(rng, half_width_mm, half_depth_mm, loss)
    return Fracture(shape, loss, displacement, share, widening, buckles, cleft)


def _endplates(
    rng: np.random.Generator, across: Floats32, along: Floats32, shape: str, loss: float, ragged: float
) -> tuple[Floats32, Floats32]:
    """Displacement and the superior endplate's share of it; drawn until the columns fit the name of the shape."""
    inside = across**2 + along**2 < 1
    for _ in range(1000):
        weight = _superior_weight(rng, shape, loss)
        superior = weight * _depression(rng, across, along, shape, ragged)
        lost = superior + (1 - weight) * _depression(rng, across, along, shape, ragged)
        columns = np.interp([COLUMN, 0, -COLUMN], along[0], lost[len(lost) // 2])
        if _fits(shape, *(columns / columns.max())) and lost[inside].max() < LARGEST * columns.max():
            share = np.divide(superior, lost, out=np.full_like(lost, weight), where=lost > 0)
            return np.asarray(lost / columns.max(), np.float32), np.asarray(share, np.float32)
    raise AssertionError(f"no {shape} in 1000 draws; its limits contradict its profile")


def _superior_weight(rng: np.random.Generator, shape: str, loss: float) -> float:
    """Share of the loss that the superior endplate bears: nearly all, a little more than half, or hardly any."""
    kind = rng.random()
    if kind < INFERIOR_ALONE:
        return float(rng.uniform(0.03, 0.15))
    if kind < INFERIOR_ALONE + BOTH[shape] + 0.6 * loss:
        return float(rng.uniform(0.5, 0.8))
    return float(rng.uniform(0.85, 0.98))


def _depression(rng: np.random.Generator, across: Floats32, along: Floats32, shape: str, ragged: float) -> Floats32:
    """Relative loss that one endplate makes, about 1 in the column that lost most.

    Its columns come down by the shape's profile; round the deepest point there is a dip, and where the endplate broke
    a step along an irregular line.
    """
    lost = _profile(rng, shape, along) * _lateral(rng, shape, across)
    x, (place, spread) = rng.normal(0, 0.2), DEEPEST[shape]
    y = float(np.clip(rng.normal(place, spread), -0.5, 0.8 if shape == "wedge" else 0.45))
    wide, deep = rng.uniform(0.3, 0.6), rng.uniform(0.25, 0.45)
    lost += rng.uniform(*DIP[shape]) * np.exp(-(((across - x) / wide) ** 2) - ((along - y) / deep) ** 2)
    behind = np.minimum(along - y, 0) if shape == "wedge" else along - y  # a wedge breaks off with its anterior rim
    lost += rng.uniform(0.15, 0.45) * ragged * _broken_off(rng, across - x, behind)
    for _ in range(3):
        u, v, sigma = rng.uniform(-0.6, 0.6), rng.uniform(-0.7, 0.8), rng.uniform(0.1, 0.3)
        lost += ragged * rng.uniform(-0.12, 0.2) * np.exp(-((across - u) ** 2 + (along - v) ** 2) / (2 * sigma**2))
    return np.asarray(np.maximum(lost, 0))


def _profile(rng: np.random.Generator, shape: str, along: Floats32) -> Floats32:
    """Parabola through the relative losses of the three columns, from posterior to anterior."""
    anterior, middle, posterior = (rng.uniform(low, high) for low, high in PROFILES[shape])
    t = along.clip(-1, 1) / COLUMN
    return np.asarray(middle + t * (anterior - posterior) / 2 + t**2 * ((anterior + posterior) / 2 - middle))


def _lateral(rng: np.random.Generator, shape: str, across: Floats32) -> Floats32:
    """How the loss falls off to the sides; a little more on one of them."""
    rim = rng.uniform(0.3, 0.7) if shape == "biconcave" else rng.uniform(0, 0.35)
    return np.asarray(1 - rim * across.clip(-1, 1) ** 2 + rng.normal(0, 0.12) * across.clip(-1, 1))


def _broken_off(rng: np.random.Generator, across: Floats32, along: Floats32) -> Floats32:
    """1 on the part of the endplate that broke off round the deepest point, 0 off it, with a steep and uneven edge."""
    across, along = across / rng.uniform(0.5, 0.9), along / rng.uniform(0.4, 0.75)
    turn = np.arctan2(along, across)
    edge = 1 + sum(rng.uniform(0, 0.12) * np.cos(n * turn + rng.uniform(0, 2 * np.pi)) for n in (2, 3, 5))
    return np.asarray(1 / (1 + np.exp(-((edge - np.hypot(across, along)) / 0.06).clip(-50, 50))))


def _fits(shape: str, anterior: float, middle: float, posterior: float) -> bool:
    """Whether the relative losses of the columns fit the name of the shape."""
    if shape == "wedge":
        return anterior == 1 and middle <= 0.9 and posterior <= 0.3
    if shape == "biconcave":
        return middle == 1 and anterior <= 0.8 and posterior <= 0.4
    return posterior >= 0.7


def _buckles(
    rng: np.random.Generator, shape: str, loss: float, lost_in_front: float, ragged: float
) -> tuple[Buckle, ...]:
    """Bulges of the anterior wall, most in its upper third, the larger the more height it lost.

    A severe crush also pushes the posterior wall out.
    """
    buckles = []
    for _ in range(rng.integers(0, 3)):
        low, high = [(0.35, 0.7), (-0.3, 0.3), (-0.7, -0.35)][rng.choice(3, p=[0.6, 0.3, 0.1])]
        size = min((0.3 + 0.7 * ragged) * rng.uniform(1.5, 4.5) * lost_in_front / 0.3, 4.0)
        buckles.append(Buckle(rng.uniform(low, high), rng.uniform(0.15, 0.85) * np.pi, rng.uniform(0.3, 0.7), size))
    if shape == "crush" and rng.random() < loss:
        buckles.append(Buckle(rng.uniform(0.2, 0.7), 1.5 * np.pi, rng.uniform(0.3, 0.5), rng.uniform(1.5, 4.0)))
    return tuple(buckles)


def _cleft(rng: np.random.Generator, half_width_mm: float, half_depth_mm: float, loss: float) -> Cleft | None:
    """A cleft in some moderate and more of the severe fractures, filled with gas or with fluid."""
    if rng.random() >= (0.3 if loss >= 0.4 else 0.08 if loss >= 0.25 else 0.0):
        return None
    return Cleft(
        right=rng.normal(0, 0.1) * half_width_mm,
        anterior=rng.uniform(0.1, 0.4) * half_depth_mm,
        half_width=rng.uniform(0.35, 0.7) * half_width_mm,
        half_depth=rng.uniform(0.3, 0.55) * half_depth_mm,
        level=rng.uniform(0.6, 0.8),
        thickness=rng.uniform(0.12, 0.3),
        hu=rng.uniform(-850, -500) if rng.random() < 0.5 else rng.uniform(0, 35),
    )
