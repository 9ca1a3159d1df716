"""Which level fractures how often, and with which grade and shape: as VerSe'19's readers found it.

Counts: verse19.csv, derived from appendix E1 of Löffler et al. 2020 (Radiol Artif Intell 2:e190138, CC BY 4.0) by
benchmarks/derive_fracture_counts.py. How often a level fractures is its own count (50 vertebrae or more). Grade and
shape are those of its region. Where a region has few, they lean on all others: to the counts of a region, and to those
of each of its grades, PRIOR vertebrae are added that are divided as all regions' are.
"""

import csv
from functools import cache
from pathlib import Path
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from vertegrade.level_texts import region
from vertegrade.levels import LABEL_OF
from vertegrade.tables import SHAPES

PRIOR = 2.0
# Losses of each grade, from its lower limit up. In VerSe'19 half of the fractures are mild, far more than any smooth
# density of losses has between 20 and 25 %. So the grade is drawn first, and the loss within it.
LOSSES = {1: (0.20, 0.25), 2: (0.25, 0.40), 3: (0.40, 0.60)}


@cache
def counts() -> dict[int, NDArray[np.int64]]:
    """Vertebrae of VerSe'19 by VerSe label: [intact; grade 1, 2, 3] by shape (4, 3); the first row has one number."""
    text = Path(__file__).with_name("verse19.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))
    return {int(row["label"]): _table(row) for row in rows}


def _table(row: dict[str, str]) -> NDArray[np.int64]:
    grades = [[int(row[f"{shape}_{grade}"]) for shape in SHAPES] for grade in (1, 2, 3)]
    return np.array([[int(row["intact"]), 0, 0], *grades])


def share_fractured(label: int) -> float:
    """Share of the vertebrae of this level that are fractured. T13 has that of T12, L6 (six in VerSe'19) that of L5."""
    table = counts()[{LABEL_OF["T13"]: LABEL_OF["T12"], LABEL_OF["L6"]: LABEL_OF["L5"]}.get(label, label)]
    return float(table[1:].sum() / table.sum())


@cache
def kinds(where: str) -> NDArray[np.float64]:
    """Share of each grade (1-3) and shape [grade, shape] among the fractures of a region (`level_texts.region`)."""
    everywhere = np.sum([table[1:] for table in counts().values()], axis=0)
    here = np.sum([table[1:] for label, table in counts().items() if region(label) == where], axis=0)
    grades = here.sum(axis=1) + PRIOR * everywhere.sum(axis=1) / everywhere.sum()
    shapes = here + PRIOR * everywhere / everywhere.sum(axis=1, keepdims=True)
    shares = grades[:, None] / grades.sum() * shapes / shapes.sum(axis=1, keepdims=True)
    return np.asarray(shares, dtype=np.float64)


def draw_loss(label: int, severity: float) -> float:
    """Height loss (fraction) of a fracture of this level. severity ~ N(0, 1): the larger, the more is lost.

    Mild and moderate losses are spread evenly over their grade, severe ones become rarer towards the worst.
    """
    limits = np.cumsum(kinds(region(label)).sum(axis=1))
    quantile = min(NormalDist().cdf(severity), 0.9999)
    grade = int(np.searchsorted(limits, quantile, side="right")) + 1
    start = float(limits[grade - 2]) if grade > 1 else 0.0
    share = (quantile - start) / (float(limits[grade - 1]) - start)
    low, high = LOSSES[grade]
    return low + (high - low) * (share if grade < 3 else 1 - float(np.sqrt(1 - share)))


def draw_shape(rng: np.random.Generator, label: int, grade: int) -> str:
    """wedge, biconcave or crush, as fractures of this level and grade (1 to 3) have them."""
    shares = kinds(region(label))[grade - 1]
    return str(rng.choice(SHAPES, p=shares / shares.sum()))
