"""The headline of the cohort's page: every method with its intervals, and which of them to trust.

Which method is better is said by the intervals of paired differences alone, never by figures side by side.
"""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import pandas as pd

from vertegrade.evaluation.comparison.tables import VERTEBRAE
from vertegrade.evaluation.texts import estimate_text
from vertegrade.methods import METHODS
from vertegrade.report.comparison.rows import cells_of
from vertegrade.report.plain_words import joined
from vertegrade.report.subgroup_tables import FEWEST_PATIENTS

FIGURES = (("auc", "ROC AUC"), ("sensitivity", "Sensitivity"), ("specificity", "Specificity"))
DECIDES = "auc"
Cell = Mapping[str, Any]


def method_cards(metrics: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each method with AUC, sensitivity and specificity of the test vertebrae, and how many it graded."""
    cards = []
    for method, block in metrics.items():
        test = block["splits"]["test"]
        cells = [(name, *_in_parts(test["vertebra"][figure])) for figure, name in FIGURES]
        counts = test["counts"]
        graded = f"graded {counts['vertebrae_evaluated']} of {counts['vertebrae_labelled']} vertebrae"
        cards.append({"method": METHODS[method].label, "figures": cells, "graded": graded})
    return cards


def _in_parts(cell: Cell) -> tuple[str, str]:
    value, _, rest = estimate_text(dict(cell)).partition(" (")
    return value, rest.removesuffix(")")


def pair_rows(comparison: pd.DataFrame) -> list[dict[str, Any]]:
    """Paired differences of each two methods on the vertebrae that all of them graded."""
    cells = cells_of(comparison)
    return [
        {
            "name": f"{METHODS[one].label} − {METHODS[other].label}",
            "cells": [signed(cells[one, other, VERTEBRAE, figure]) for figure, _ in FIGURES],
        }
        for one, other in _pairs(cells)
    ]


def _pairs(cells: Mapping[tuple[str, str, str, str], Cell]) -> list[tuple[str, str]]:
    return [(one, other) for one, other, unit, figure in cells if other and unit == VERTEBRAE and figure == DECIDES]


def signed(cell: Cell) -> str:
    """A difference with its interval, both with their signs."""
    if cell["value"] is None:
        return "n/a"
    text = f"{cell['value']:+.3f}"
    if cell["low"] is not None:
        text += f" ({cell['low']:+.3f} to {cell['high']:+.3f})"
    return text.replace("-", "−")


def trust(comparison: pd.DataFrame, confidence: float) -> str:
    """Which method ranks vertebrae best, in a sentence or two: by ROC AUC, where intervals leave out 0."""
    cells = cells_of(comparison)
    methods = [one for one, other, unit, figure in cells if not other and unit == VERTEBRAE and figure == DECIDES]
    if len(methods) < 2:
        return "There is only one method, so there is none to prefer."
    if min(cell["patients"] for cell in cells.values()) < FEWEST_PATIENTS:
        return f"Fewer than {FEWEST_PATIENTS} patients were graded by all methods: too few to say which is better."
    better = {pair for one, other in _pairs(cells) if (pair := _better(one, other, cells)) is not None}
    if all(cells[one, other, VERTEBRAE, DECIDES]["low"] is None for one, other in _pairs(cells)):
        return "There are too few cases for intervals, so no method can be said to be better than another."
    beaten = {worse for _, worse in better}
    best = [name for name in methods if all((name, other) in better for other in methods if other != name)]
    interval = f"{100 * confidence:g} % interval"
    if best:
        others = _names([name for name in methods if name not in best])
        return (
            f"Trust {_names(best)}: it ranks vertebrae better than {others}. The {interval} of each paired difference "
            "of ROC AUC leaves out 0."
        )
    tied = [pair for pair in combinations(methods, 2) if _is_open(pair, better) and not beaten.issuperset(pair)]
    unbeaten = [name for name in methods if name not in beaten]
    return " ".join(
        [
            "No method can be trusted above all others.",
            *([f"None ranks vertebrae better than {_either(unbeaten)} beyond chance."] if better and unbeaten else []),
            f"The {interval} of the paired difference of ROC AUC contains 0, so these cannot be told apart: "
            f"{'; '.join(_tie(pair, cells) for pair in tied)}.",
            *([f"Beyond chance, {_order(methods, better)}."] if better else []),
        ]
    )


def _order(methods: list[str], better: set[tuple[str, str]]) -> str:
    """`DAE ranks vertebrae better than PCA and SupCon; Keypoints better than PCA`: who beats most comes first."""
    worse = {name: [other for other in methods if (name, other) in better] for name in methods}
    most_first = sorted((name for name in methods if worse[name]), key=lambda name: -len(worse[name]))
    told = [f"{METHODS[name].label} better than {_names(worse[name])}" for name in most_first]
    return "; ".join([told[0].replace(" better", " ranks vertebrae better", 1), *told[1:]])


def _better(one: str, other: str, cells: Mapping[tuple[str, str, str, str], Cell]) -> tuple[str, str] | None:
    """The better and the worse of two methods, None where the interval does not say or there is none."""
    cell = cells[one, other, VERTEBRAE, DECIDES]
    if cell["low"] is None or cell["low"] <= 0 <= cell["high"]:
        return None
    return (one, other) if cell["low"] > 0 else (other, one)


def _is_open(pair: tuple[str, str], better: set[tuple[str, str]]) -> bool:
    return pair not in better and pair[::-1] not in better


def _tie(pair: tuple[str, str], cells: Mapping[tuple[str, str, str, str], Cell]) -> str:
    """`DAE and PCA (difference +0.001, −0.010 to +0.012)`."""
    cell = cells[(*pair, VERTEBRAE, DECIDES)]
    difference = signed(cell).replace(" (", ", ").removesuffix(")")
    return f"{_names(list(pair))} (difference {difference}{', no interval' * (cell['low'] is None)})"


def _either(methods: list[str]) -> str:
    return _names(methods).replace(" and ", " or ")


def _names(methods: list[str]) -> str:
    return joined([METHODS[name].label for name in methods])
