"""Osteoporotic fractures: which vertebrae, and how much height they lose."""

import math

import numpy as np

from vertegrade.levels import LABEL_OF, craniocaudal_rank

# Losses of fractures: the density falls linearly from the mildest to zero at the worst, which makes 23 % grade 1, 52 %
# grade 2 and 25 % grade 3. VerSe'19 has 49, 33 and 18 %: readers grade by eye, and no smooth density of true losses
# puts half of the fractures into the five points of grade 1.
MILDEST, WORST = 0.20, 0.60
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
