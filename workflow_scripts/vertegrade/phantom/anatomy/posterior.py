"""Posterior elements and ribs as rounded rods in the local axes of a vertebra (right, anterior, superior; mm).

A rod is a row of nine numbers: one end, the other end, and its radii along the three local axes. Proportions after
Panjabi 1991 and 1992 (pedicles, facets, spinous processes) and Gray's Anatomy (their course).
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from vertegrade.levels import LABEL_OF, craniocaudal_rank
from vertegrade.phantom.anatomy.body import Body

Rods = NDArray[np.float32]

CANAL_DEPTH_MM = 16.0


def lumbar_share(label: int) -> float:
    """0 at and above T9, 1 at and below L2: how lumbar the processes are."""
    return float(np.clip((craniocaudal_rank(label) - LABEL_OF["T9"]) / (LABEL_OF["L2"] - LABEL_OF["T9"]), 0, 1))


def posterior_rods(rng: np.random.Generator, label: int, body: Body, size: float) -> Rods:
    """Pedicles, laminae, articular, transverse and spinous processes behind a body of the trunk."""
    lumbar = lumbar_share(label)
    height = float(body.heights()[2])
    wall = -0.91 * body.half_depth
    side = (10.5 + 4.0 * lumbar + 0.06 * body.half_width) * size
    jitter = rng.normal(1, 0.08, 6)
    pillar = wall - (10 + 2 * lumbar) * size
    lamina = wall - (CANAL_DEPTH_MM + 4) * size
    pedicle = (2.6 + 2.6 * lumbar) * size * jitter[0], (5.2 + 2.2 * lumbar) * size * jitter[0]
    bent = rng.normal(0, 1.2)
    rods: list[list[float]] = []
    for turn in (-1, 1):
        x = turn * side
        rods.append([0.95 * x, wall + 5, 0.22 * height, x, pillar, 0.2 * height, pedicle[0], pedicle[0], pedicle[1]])
        rods.append([x, pillar - 1, 0.1 * height, turn * 2.5, lamina - 3, -0.15 * height, 2.8, 2.8, 0.33 * height + 2])
        up, down = x + turn * 5.5 * lumbar, x - turn * 4.0 * lumbar
        rods.append(
            [
                x,
                pillar,
                0.15 * height,
                up,
                pillar + 1.5 - 3 * lumbar,
                0.55 * height + 3,
                4.6 - 0.4 * lumbar,
                2.6 + 2.2 * lumbar,
                4,
            ]
        )
        rods.append(
            [
                x,
                pillar - 3,
                -0.1 * height,
                down,
                pillar - 4.3,
                -0.72 * height - 2,
                4.6 - 0.4 * lumbar,
                2.6 + 2.2 * lumbar,
                4,
            ]
        )
        rods.append(_transverse(turn, x, pillar, height, lumbar, size * jitter[1]))
    spinous = (24 + 6 * lumbar) * size * jitter[2]
    drop = (1 - lumbar) * (26 if LABEL_OF["T4"] <= label <= LABEL_OF["T9"] else 17) * jitter[3] + 0.25 * height * lumbar
    tall = 4.0 + 6.0 * lumbar * jitter[4]
    rods.append([0, lamina - 1, -0.1 * height, bent, lamina - spinous, -0.1 * height - drop, 2.6, 4, tall])
    rods.append(
        [bent, lamina - spinous, -0.1 * height - drop, bent, lamina - spinous, -0.1 * height - drop, 3.6, 4, tall]
    )
    return np.array(rods, np.float32)


def cervical_rods(rng: np.random.Generator, label: int, body: Body, size: float) -> Rods:
    """Pedicles, articular pillars, laminae and a short spinous process of C3-C7."""
    height = float(body.heights()[2])
    wall = -0.91 * body.half_depth
    lamina = wall - CANAL_DEPTH_MM * size
    reach = (10 if label < 6 else 16 if label == 6 else 26) * size * rng.uniform(0.85, 1.15)
    rods: list[list[float]] = []
    for side in (-1, 1):
        x = side * (0.85 * body.half_width + 5 * size)
        pillar = wall - 5 * size
        rods.append([0.75 * side * body.half_width, wall + 3, 0.1 * height, x, pillar, 0, 2.6, 2.6, 3.2])
        rods.append([x, pillar - 1, 0.5 * height + 1, x, pillar - 4, -0.5 * height - 1, 5.2, 4.2, 4])
        rods.append([x, pillar - 4, 0, side * 2.5, lamina - 2, -0.15 * height, 2.2, 2.2, 0.35 * height + 1])
        tip = [side * (body.half_width + 11 * size), wall + 4, -0.1 * height]
        rods.append([0.9 * side * body.half_width, 0.0, 0.0, *tip, 2.2, 2.2, 2.4])
        rods.append([x, pillar, 0, *tip, 2.0, 2.0, 2.4])
    rods.append([0, lamina - 1, -0.1 * height, 0, lamina - reach, -0.3 * height - 0.35 * reach, 2.6, 3, 3.4])
    return np.array(rods, np.float32)


def sacral_rods(number: int, body: Body, size: float) -> Rods:
    """Wings, laminae and median crest of S1 (0), S2, ... S5 (4); the coccyx (5) has none but a knob."""
    height = float(body.heights()[2])
    wall = -0.9 * body.half_depth
    if number >= 5:
        return np.array([[0, 0, 0, 0, 0, -0.3 * height, 3, 3, 3]], np.float32)
    reach = size * (52, 46, 36, 28, 20)[number]
    thick = size * (11, 10, 8, 6, 5)[number]
    rods: list[list[float]] = []
    for side in (-1, 1):
        root = [side * 0.7 * body.half_width, wall * 0.3, 0.0]
        rods.append([*root, side * (reach - thick), wall * 0.6, -0.1 * height, thick, 0.8 * thick, 0.62 * height])
        x, lamina = side * 11 * size, wall - (13 - 2 * number) * size
        rods.append([2 * x, wall, 0.0, x, lamina, 0.0, 4, 4, 0.5 * height])
        rods.append([x, lamina, 0.0, 0.0, lamina - 3, -0.1 * height, 3, 3, 0.5 * height])
    crest = lamina - (12 - 2 * number) * size
    rods.append([0, lamina - 2, 0, 0, crest, -0.2 * height, 3, 3, 5])
    return np.array(rods, np.float32)


def _transverse(turn: int, x: float, pillar: float, height: float, lumbar: float, size: float) -> list[float]:
    """A transverse process: stout and swept back in the thorax, slender and straight in the lumbar spine."""
    reach = (15 + 9 * lumbar) * size
    if lumbar < 1:
        reach *= 1 - 0.5 * np.sin(np.pi * lumbar)  # T11-T12 carry little more than tubercles
    back = (9 - 6 * lumbar) * size
    thick = 4.0 - 1.5 * lumbar
    start = [x, pillar - 1, 0.12 * height]
    return [*start, x + turn * reach, pillar - 1 - back, 0.12 * height + 2, thick, thick, 4.5]


def rib_rods(rng: np.random.Generator, label: int, body: Body, size: float) -> Rods:
    """Both ribs of a thoracic vertebra: head at the body's upper rim, past the transverse process, round the chest."""
    number = round(craniocaudal_rank(label)) - LABEL_OF["T1"]  # 0 for T1 .. 11 for T12
    height = float(body.heights()[2])
    chest = np.interp(number, [0, 2, 7, 11], [62, 95, 125, 118]) * size
    depth = np.interp(number, [0, 2, 7, 11], [62, 92, 105, 95]) * size
    length = np.interp(number, [0, 9, 10, 11], [1.0, 1.0, 0.55, 0.3])
    turn = np.linspace(0.16, 0.16 + 0.62 * length, 7) * np.pi
    behind = -0.9 * body.half_depth - 17 * size
    rods: list[list[float]] = []
    for side in (-1, 1):
        head = [side * (0.85 * body.half_width + 1.5), -0.6 * body.half_depth, 0.38 * height]
        neck = [side * (0.6 * body.half_width + 18 * size), behind + 1, 0.3 * height]
        course = [head, neck]
        for angle in turn:
            down = -40 * size * (angle / np.pi - 0.16) - 8 * (angle / np.pi)
            course.append(
                [side * chest * np.sin(angle), behind - 6 + depth * 0.75 * (1 - np.cos(angle)), 0.25 * height + down]
            )
        course[2:] = [point for point in course[2:] if abs(point[0]) > abs(neck[0])]
        flat = 3.0 * size, 3.0 * size, rng.uniform(5.0, 6.2) * size
        rods += [[*a, *b, *flat] for a, b in pairwise(course)]
    return np.array(rods, np.float32)
