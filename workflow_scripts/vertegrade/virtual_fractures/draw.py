"""Which vertebrae of a scan collapse, how, and which are moved as a sham."""

import numpy as np
from scipy.spatial.transform import Rotation

from vertegrade.arrays import Floats
from vertegrade.fractures.collapse import Fracture, draw_fracture, plane
from vertegrade.fractures.kinds import draw_shape
from vertegrade.levels import craniocaudal_rank
from vertegrade.spine.heights import genant_grade
from vertegrade.virtual_fractures.body import RealBody
from vertegrade.virtual_fractures.collapse import Collapse, collapse
from vertegrade.virtual_fractures.scan import Changes

SHARE = 0.25  # of the vertebrae that can be chosen collapse, and as many are shams
LEAST_LOSS, MOST_LOSS = 0.05, 0.60
WAIST = 0.12  # share of the radius by which an intact body is narrower half way between its endplates
LAYER_MM = 2.0  # thickness under an endplate that moves as it is; thick slices blur it over more
SHAM = "sham"


def candidates(bodies: list[RealBody], sound: set[int]) -> list[RealBody]:
    """Bodies that may be changed: graded and sound ones whose neighbours, up and down, are seen too."""
    return [
        body
        for below, body, above in zip(bodies, bodies[1:], bodies[2:], strict=False)
        if body.label in sound
        and craniocaudal_rank(below.label) - craniocaudal_rank(body.label) <= 1
        and craniocaudal_rank(body.label) - craniocaudal_rank(above.label) <= 1
    ]


def draw_changes(rng: np.random.Generator, bodies: list[RealBody], sound: set[int], thickness_mm: float) -> Changes:
    """Changes of one virtual scan. bodies: from the feet up. sound: labels that are intact as far as one can tell.

    Losses are drawn evenly from 5 to 60 %, so that each loss is seen as often; the shape is drawn for its grade and
    level as patients have it. thickness_mm: of the slices. No changes where no vertebra may be chosen.
    """
    may = candidates(bodies, sound)
    order = [may[n] for n in rng.permutation(len(may))]
    count = min(max(1, round(SHARE * len(may))), len(may))
    layer = max(LAYER_MM, thickness_mm / 2)
    collapses: dict[int, Collapse] = {}
    jiggles: dict[int, Floats] = {}
    for body in order[: 2 * count]:
        fractured = len(collapses) < count
        collapses[body.label] = _drawn(rng, body, layer) if fractured else _sham(rng, body, layer)
        jiggles[body.label] = _jiggle(rng)
    return Changes(collapses, jiggles, float(rng.uniform(0.3, 0.6)))


def _drawn(rng: np.random.Generator, body: RealBody, layer_mm: float) -> Collapse:
    loss = float(rng.uniform(LEAST_LOSS, MOST_LOSS))
    shape = draw_shape(rng, body.label, max(genant_grade(loss), 1))
    fracture = draw_fracture(rng, body.half_width, body.half_depth, WAIST, loss, shape)
    return collapse(body, fracture, layer_mm, squeezed=float(rng.uniform(0.4, 1)), density=float(rng.uniform(0.3, 1)))


def _sham(rng: np.random.Generator, body: RealBody, layer_mm: float) -> Collapse:
    """A collapse of no loss: bone moves inside the body, so that one half is squeezed and the other stretched."""
    flat = np.zeros_like(plane()[0])
    fracture = Fracture(SHAM, 0.0, flat, flat + np.float32(0.5), float(rng.uniform(0, 0.6)), (), None)
    stirred = float(rng.choice([-1, 1]) * rng.uniform(0.03, 0.07))
    return collapse(body, fracture, layer_mm, squeezed=1.0, density=float(rng.uniform(0.3, 1)), stirred=stirred)


def _jiggle(rng: np.random.Generator) -> Floats:
    """A small rigid motion (4x4): 0.7 degrees about each axis and 0.7 mm aside (standard deviations).

    Hardly any up or down: discs of the chest are 2 mm high, and neighbours must not touch.
    """
    motion = np.eye(4)
    motion[:3, :3] = Rotation.from_rotvec(rng.normal(0, 0.7, 3).clip(-1.5, 1.5), degrees=True).as_matrix()
    motion[:3, 3] = (rng.normal(0, 1, 3) * [0.7, 0.7, 0.2]).clip([-1.5, -1.5, -0.4], [1.5, 1.5, 0.4])
    return motion
