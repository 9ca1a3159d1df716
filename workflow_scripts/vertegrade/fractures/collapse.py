"""How a vertebra collapses: where the endplates fail, how far, and how the wall buckles.

Shared by the phantoms, which are drawn collapsed, and by virtual fractures, which are warped into real scans. A body
lies in its own axes: right, anterior, superior (mm), origin in its middle. The anterior, middle and posterior columns
are those whose heights are measured.
"""

from dataclasses import dataclass

import numpy as np

from vertegrade.arrays import Floats32

PLANE_HALF = 36  # endplate maps reach 36 mm to every side, one sample per millimetre
COLUMN = 0.85  # the anterior and posterior heights lie at this share of the half depth
SHAPES = ("wedge", "biconcave", "crush")
SHAPE_SHARES = {1: (0.55, 0.37, 0.08), 2: (0.57, 0.30, 0.13), 3: (0.52, 0.22, 0.26)}


@dataclass(frozen=True)
class Buckle:
    """A bulge of the broken wall: it juts out by size (mm) half way to an endplate.

    angle: radians from right towards anterior. spread: width along the wall (radians).
    """

    superior: bool
    angle: float
    spread: float
    size: float


@dataclass(frozen=True, eq=False)
class Fracture:
    """How a body collapsed.

    displacement: loss of height over the endplate map (`plane`), 1 where a column lost most. loss: fraction lost there.
    So at a place the body loses loss * displacement of its height. superior_share: share of it that the superior
    endplate came down. widening: how far (mm) the wall moved outwards half way between the endplates. buckle: bulges
    of the broken wall.
    """

    shape: str
    loss: float
    displacement: Floats32
    superior_share: float
    widening: float
    buckle: tuple[Buckle, ...]


def plane() -> tuple[Floats32, Floats32]:
    """Right and anterior coordinates (mm) of the samples of an endplate map."""
    axis = np.arange(-PLANE_HALF, PLANE_HALF + 1, dtype=np.float32)
    right, anterior = np.meshgrid(axis, axis, indexing="ij")
    return right, anterior


def draw_shape(rng: np.random.Generator, grade: int) -> str:
    """wedge, biconcave or crush; severe fractures are crushed more often."""
    return str(rng.choice(SHAPES, p=SHAPE_SHARES[max(grade, 1)]))


def draw_fracture(
    rng: np.random.Generator, half_width_mm: float, half_depth_mm: float, waist: float, loss: float, shape: str
) -> Fracture:
    """A collapse of the given loss and shape of a body of this size; fresh ones are ragged, old ones smooth.

    waist: share of the radius by which the body is narrower half way between its endplates. loss: fraction of its
    height that the column lost that lost most. shape: one of SHAPES.
    """
    ragged = rng.uniform(0, 1)
    superior = rng.uniform(0.7, 1.0) if shape == "wedge" else rng.uniform(0.45, 0.95)
    buckles = []
    for _ in range(rng.integers(0, 3)):
        angle = rng.uniform(0.15, 0.85) * np.pi if shape != "crush" or rng.random() < 0.6 else 1.5 * np.pi
        size = min(ragged * rng.uniform(1.5, 4.5) * loss / 0.3, 4.0)
        buckles.append(Buckle(bool(rng.random() < superior), angle, rng.uniform(0.3, 0.7), size))
    # The waist fills up as the body is squeezed.
    widening = half_depth_mm * (waist * min(loss, 0.6)) + rng.uniform(0, 1.2) * min(loss / 0.3, 1.5)
    right, anterior = plane()
    displacement = _displacement(rng, right / half_width_mm, anterior / half_depth_mm, shape, ragged)
    return Fracture(shape, loss, displacement, superior, widening, tuple(buckles))


def _displacement(rng: np.random.Generator, across: Floats32, along: Floats32, shape: str, ragged: float) -> Floats32:
    """Relative loss over the endplate map, 1 at the column that lost most; drawn until the shape fits its name."""
    for _ in range(100):
        lost = _profile(rng, shape, along) * _lateral(rng, shape, across)
        if shape == "wedge":
            front = rng.uniform(0.1, 0.5) * ragged
            lost += front / (1 + np.exp(-(along - rng.uniform(-0.2, 0.5)) / 0.07))
        for _ in range(3):
            x, y, sigma = rng.uniform(-0.6, 0.6), rng.uniform(-0.7, 0.8), rng.uniform(0.15, 0.35)
            lost += ragged * rng.uniform(-0.12, 0.3) * np.exp(-((across - x) ** 2 + (along - y) ** 2) / (2 * sigma**2))
        lost = np.maximum(lost, 0)
        columns = np.interp([COLUMN, 0, -COLUMN], along[0], lost[len(lost) // 2])
        columns /= columns.max()
        if _fits(shape, *columns):
            return np.asarray(lost / np.interp([COLUMN, 0, -COLUMN], along[0], lost[len(lost) // 2]).max(), np.float32)
    raise AssertionError(f"no {shape} in 100 draws; its limits contradict its profile")


def _profile(rng: np.random.Generator, shape: str, along: Floats32) -> Floats32:
    """Parabola through the relative losses of the three columns, from posterior to anterior."""
    anterior, middle, posterior = {
        "wedge": (1.0, rng.uniform(0.4, 0.9), rng.uniform(0, 0.2)),
        "biconcave": (rng.uniform(0.2, 0.65), 1.0, rng.uniform(0.05, 0.45)),
        "crush": (rng.uniform(0.85, 1), rng.uniform(0.85, 1.05), rng.uniform(0.78, 0.98)),
    }[shape]
    t = along.clip(-1, 1) / COLUMN
    return np.asarray(middle + t * (anterior - posterior) / 2 + t**2 * ((anterior + posterior) / 2 - middle))


def _lateral(rng: np.random.Generator, shape: str, across: Floats32) -> Floats32:
    """How the loss falls off to the sides; a little more on one of them."""
    rim = rng.uniform(0.3, 0.7) if shape == "biconcave" else rng.uniform(0, 0.35)
    return np.asarray(1 - rim * across.clip(-1, 1) ** 2 + rng.normal(0, 0.12) * across.clip(-1, 1))


def _fits(shape: str, anterior: float, middle: float, posterior: float) -> bool:
    """Whether the relative losses of the columns fit the name of the shape."""
    if shape == "wedge":
        return anterior == 1 and posterior <= 0.4
    if shape == "biconcave":
        return middle == 1 and anterior <= 0.8 and posterior <= 0.7
    return posterior >= 0.7
