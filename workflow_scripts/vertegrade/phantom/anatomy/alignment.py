"""How a patient's spine is bent: discs that make up kyphosis and lordosis, and a scoliosis."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from vertegrade.levels import LABEL_OF, craniocaudal_rank
from vertegrade.phantom.anatomy.body import Body
from vertegrade.phantom.anatomy.curve import MIN_GAP_MM, Disc
from vertegrade.phantom.anatomy.variants import sized_as
from vertegrade.spine.level_statistics import level_sizes


def draw_discs(
    rng: np.random.Generator,
    age: float,
    factors: dict[int, float],
    healthy: dict[int, Body],
    bodies: dict[int, Body],
) -> dict[int, Disc]:
    """The disc below each vertebra (by label, as factors, healthy and bodies are).

    factors: thickness relative to the level's mean. The discs add what the bodies lack to the patient's kyphosis
    (T1-T12) and lordosis (L1-S1), within what a disc can give: about 60 degrees of the 66 wanted, which makes a
    sacral slope of 36 +- 12 degrees. Of the angle that fractures add (bodies against healthy), about half stays.
    """
    thick = np.exp(rng.normal(-0.004 * (age - 60), 0.12))
    sizes = level_sizes()
    gaps = {
        label: np.array([sizes[sized_as(label)].disc_anterior_mm, sizes[sized_as(label)].disc_posterior_mm])
        * (thick * factor * np.exp(rng.normal(0, 0.08)))
        for label, factor in factors.items()
    }
    curves = [
        (_between(factors, "T1", "T11"), -rng.normal(38 + 0.15 * (age - 60), 8)),
        (_between(factors, "L1", "L6"), rng.normal(66, 11)),
    ]
    for levels, target in curves:
        depth = {label: healthy[label].columns[0] - healthy[label].columns[2] for label in levels}
        whole = sum(_wedge(healthy[label]) + (gaps[label][0] - gaps[label][1]) / depth[label] for label in levels)
        broken = sum(_wedge(bodies[label]) - _wedge(healthy[label]) for label in levels)
        more = (np.deg2rad(target) - whole - broken / 2) / len(levels)
        for label in levels:
            gaps[label] = _tilted(gaps[label], more * depth[label])
    return {label: Disc(max(gap[0], MIN_GAP_MM), max(gap[1], MIN_GAP_MM)) for label, gap in gaps.items()}


def _between(labels: Iterable[int], first: str, last: str) -> list[int]:
    return sorted(label for label in labels if LABEL_OF[first] <= craniocaudal_rank(label) <= LABEL_OF[last])


def _tilted(gap: NDArray[np.float64], open_mm: float) -> NDArray[np.float64]:
    """Gaps (anterior, posterior) after the disc opened in front: half of it by closing behind, where there is room."""
    behind = min(open_mm / 2, max(gap[1] - MIN_GAP_MM, 0.0))
    return np.array([gap[0] + min(open_mm - behind, 6.0), gap[1] - behind])


def _wedge(body: Body) -> float:
    """Angle (radians) between the endplates, positive where the body is higher in front."""
    heights = body.heights()
    return float((heights[0] - heights[2]) / (body.columns[0] - body.columns[2]))


def draw_scoliosis(
    rng: np.random.Generator, count: int, share: float, largest_degrees: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Roll and turn (radians) from below upwards: one curve around an apex, the turn coupled to it; a skewed pose."""
    cobb = rng.uniform(8, largest_degrees) if rng.random() < share else abs(rng.normal(0, 2.5))
    cobb = np.deg2rad(cobb) * rng.choice([-1, 1])
    from_apex = np.arange(count) - rng.uniform(5, 14)
    envelope = np.exp(-((from_apex / 5.0) ** 2))
    rolls = cobb * np.sin(from_apex / 5.0) * envelope / 0.8
    turns = 0.5 * cobb * envelope + np.deg2rad(rng.normal(0, 3))
    return rolls + np.deg2rad(rng.normal(0, 0.8, count)), turns + np.deg2rad(rng.normal(0, 0.7, count))
