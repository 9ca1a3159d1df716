"""Mean size of a healthy vertebra at each level, and how far people and their vertebrae deviate from it.

Means: level_statistics.csv, derived from the MosMed six-point annotations and the literature by
benchmarks/derive_level_statistics.py. The spreads below are robust standard deviations of the same annotations
(vertebrae whose lowest height is at least 0.8 of the highest), less the experts' own spread (0.025 in a ratio).
"""

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PERSON_SIZE = 0.055  # relative; posterior height between people
VERTEBRA_HEIGHT = 0.025  # relative; posterior height within a person
PERSON_RATIO = 0.024  # Ha/Hp and Hm/Hp between people
VERTEBRA_RATIO = 0.022  # Ha/Hp and Hm/Hp within a person, mild deformities aside


@dataclass(frozen=True)
class LevelSize:
    """Means: posterior height, anterior and middle height over it, outer size, rim gaps of the disc below."""

    height_posterior_mm: float
    ratio_anterior: float
    ratio_middle: float
    depth_mm: float
    width_mm: float
    disc_anterior_mm: float
    disc_posterior_mm: float


@cache
def level_sizes() -> dict[int, LevelSize]:
    """LevelSize by VerSe label, C6 (6) to L5 (24)."""
    text = Path(__file__).with_name("level_statistics.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    return {
        int(row["label"]): LevelSize(**{name: float(value) for name, value in row.items() if name != "label"})
        for row in rows
    }
