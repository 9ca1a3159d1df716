"""Osteoporotic fractures: which vertebrae, how much height they lose, and how the collapse looks."""

import math

import numpy as np

from vertegrade.arrays import Floats32
from vertegrade.levels import LABEL_OF, craniocaudal_rank
from vertegrade.phantom.anatomy.body import COLUMN, BodyPlan, Fracture, Lip, plane

# Losses of fractures: the density falls linearly from the mildest to zero at the worst, which makes 23 % grade 1, 52 %
# grade 2 and 25 % grade 3. VerSe'19 has 49, 33 and 18 %: readers grade by eye, and no smooth density of true losses
# puts half of the fractures into the five points of grade 1.
MILDEST, WORST = 0.20, 0.60
SHAPES = ("wedge", "biconcave", "crush")
SHAPE_SHARES = {1: (0.55, 0.37, 0.08), 2: (0.57, 0.30, 0.13), 3: (0.52, 0.22, 0.26)}
WITHIN_PATIENT = 0.5  # correlation of the severities of one patient's fractures
NEIGHBOUR = 2.0  # how much likelier a vertebra fractures next to a fractured one


def draw_sites(rng: np.random.Generator, levels: tuple[int, ...], mean_count: float) -> list[int]:
    """Labels of the fractured vertebrae of a fractured patient: at least one; T7-T8 and T11-L2 most, and in clusters.

    The count is 1 + a negative binomial of the wanted mean, cut at 13 (Genant's and VerSe's patients often have
    several). Levels: Ismail 1999 (Osteoporos Int 9:206) and others find the two peaks.
    """
    spread = 2.0
    count = 1 + int(rng.negative_binomial(spread, spread / (spread + max(mean_count - 1, 1e-6))))
    weight = {label: _level_weight(label) for label in levels}
    sites: list[int] = []
    for _ in range(min(count, 13, len(levels))):
        free = [label for label in levels if label not in sites]
        ranks = [levels.index(site) for site in sites]
        odds = np.array(
            [weight[a] * (NEIGHBOUR if any(abs(levels.index(a) - r) == 1 for r in ranks) else 1) for a in free]
        )
        sites.append(int(rng.choice(free, p=odds / odds.sum())))
    return sorted(sites, key=craniocaudal_rank)


def _level_weight(label: int) -> float:
    rank = craniocaudal_rank(label)
    peaks = [(LABEL_OF["T7"] + 0.5, 1.6, 1.0), (LABEL_OF["L1"] - 0.3, 1.7, 1.6)]
    return 0.28 + sum(size * math.exp(-(((rank - peak) / width) ** 2)) for peak, width, size in peaks)


def draw_loss(rng: np.random.Generator, patient_severity: float) -> float:
    """Height loss (fraction) of a fracture. patient_severity ~ N(0, 1) is shared by the patient's fractures."""
    normal = math.sqrt(WITHIN_PATIENT) * patient_severity + math.sqrt(1 - WITHIN_PATIENT) * rng.normal()
    share = 0.5 * (1 + math.erf(normal / math.sqrt(2)))
    return WORST - (WORST - MILDEST) * math.sqrt(1 - min(share, 0.999))


def draw_shape(rng: np.random.Generator, grade: int) -> str:
    """wedge, biconcave or crush; severe fractures are crushed more often."""
    return str(rng.choice(SHAPES, p=SHAPE_SHARES[max(grade, 1)]))


def draw_fracture(rng: np.random.Generator, plan: BodyPlan, loss: float, shape: str) -> Fracture:
    """A collapse of the given loss and shape; fresh ones are ragged, old ones smooth."""
    ragged = rng.uniform(0, 1)
    superior = rng.uniform(0.7, 1.0) if shape == "wedge" else rng.uniform(0.45, 0.95)
    buckles = []
    for _ in range(rng.integers(0, 3)):
        angle = rng.uniform(0.15, 0.85) * np.pi if shape != "crush" or rng.random() < 0.6 else 1.5 * np.pi
        size = min(ragged * rng.uniform(1.5, 4.5) * loss / 0.3, 4.0)
        buckles.append(Lip(bool(rng.random() < superior), angle, rng.uniform(0.3, 0.7), size))
    widening = plan.half_depth * plan_waist_relief(plan, loss) + rng.uniform(0, 1.2) * min(loss / 0.3, 1.5)
    return Fracture(shape, loss, _displacement(rng, plan, shape, ragged), superior, widening, tuple(buckles))


def plan_waist_relief(plan: BodyPlan, loss: float) -> float:
    """Share of the half depth that the waist fills up as the body is squeezed."""
    return plan.waist * min(loss, 0.6)


def _displacement(rng: np.random.Generator, plan: BodyPlan, shape: str, ragged: float) -> Floats32:
    """Relative loss over the endplate map, 1 at the column that lost most; drawn until the shape fits its name."""
    right, anterior = plane()
    across, along = right / plan.half_width, anterior / plan.half_depth
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
