"""Where in the crop severity comes from, and what a grade changes in the heights: words and tables of the page."""

from typing import Any

import pandas as pd

from vertegrade.evaluation.texts import estimate_text
from vertegrade.tables import HEIGHTS

AREA_NAMES = {
    "endplates": "its endplates",
    "body": "the rest of its body",
    "lost": "the room that it lost",
    "discs": "discs",
    "neighbours": "neighbouring vertebrae",
    "elsewhere": "elsewhere",
}
OWN = ("endplates", "body", "lost")
MAP_NAMES = {"gradient": "Gradient", "occlusion": "Occlusion", "pca": "PCA (exact)"}
SOURCE_NAMES = {"pictures": "Pictures", "crops": "Test CT"}
MOSTLY = 2 / 3  # of the severity; with less from the vertebra itself the page warns
ALIKE = 0.5  # rank correlation; a map that is so like one of a shuffled encoder shows the crop, not what was learned
FRACTURED = "1-3"


def looks_at_texts(metrics: dict[str, Any], heights: pd.DataFrame) -> dict[str, Any] | None:
    """Sentences and tables of counterfactual/looks_at.json and GRADE_HEIGHTS; None where there is no map.

    `finding`: where the severity comes from. `warning`: that it is not the vertebra itself, or that the map cannot be
    trusted; "" where all is well. `trust`: how the map was checked. `areas`, `heights`: rows of tables.
    """
    if not metrics["vertebrae"]:
        return None
    fractured = metrics["maps"][metrics["shown"]]["grades"][FRACTURED]
    known = fractured["grades"] is not None and fractured["score"]["value"] is not None
    return {
        "vertebrae": metrics["vertebrae"],
        "finding": _finding(fractured) if known else "Too few vertebrae are graded as fractured to say more.",
        "warning": " ".join(_warnings(metrics, fractured if known else None)),
        "trust": _trust(metrics),
        "areas": [_area_row(area, metrics) for area in AREA_NAMES],
        "maps": list(MAP_NAMES.values()),
        "heights": _height_rows(heights),
    }


def _finding(fractured: dict[str, Any]) -> str:
    """By area: how many grades, and where the map is strongest for its size."""
    parts = {area: fractured["grades"][area]["value"] for area in AREA_NAMES}
    listed = ", ".join(f"{_signed(value)} from {AREA_NAMES[area]}" for area, value in parts.items())
    dense = {area: _times(fractured, area) for area in AREA_NAMES}
    first = max(dense, key=lambda area: dense[area])
    sway = fractured["sway"]["neighbours"]["value"]
    return (
        f"The {fractured['vertebrae']} vertebrae graded 1 to 3 are read as {fractured['score']['value']:.1f} grades "
        f"more severe than an average intact one of their part of the spine: {listed}. So "
        f"{100 * _own(fractured):.0f} % comes from the vertebra itself. For its size, the map is strongest at "
        f"{AREA_NAMES[first]} ({dense[first]:.1f} times an even map). Neighbours raise or lower the severity of a "
        f"single vertebra by {sway:.2f} grades on average."
    )


def _own(fractured: dict[str, Any]) -> float:
    """Share of the score that comes from the vertebra itself."""
    return float(sum(fractured["grades"][area]["value"] for area in OWN) / fractured["score"]["value"])


def _times(figures: dict[str, Any], area: str) -> float:
    """How many times as strong as an even map a map is in an area; 0 where the area is empty."""
    share, size = figures["share"][area]["value"], figures["area"][area]["value"]
    return float(share / size) if size else 0.0


def _warnings(metrics: dict[str, Any], fractured: dict[str, Any] | None) -> list[str]:
    found = []
    if fractured and not MOSTLY <= _own(fractured) <= 2 - MOSTLY:
        found.append(
            "Much of the severity does not come from the vertebra itself: the model links the grade to something that "
            "is not the fracture."
        )
    if metrics["checks"][f"shuffled_{metrics['shown']}"] > ALIKE:
        found.append("The map hardly depends on what the encoder has learned: do not read it.")
    return found


def _trust(metrics: dict[str, Any]) -> str:
    checks, maps = metrics["checks"], metrics["maps"]
    agreed = [maps[name]["agreement"] for name in ("gradient", "occlusion")]
    return (
        f"Parts of the crops were replaced at random: the map by gradient foretells what that does to the severity "
        f"with a correlation of {agreed[0]:.2f}, that by occlusion with {agreed[1]:.2f}. The rank correlation of the "
        f"two is {checks['rank_correlation']:.2f}. With an encoder whose weights were shuffled it falls to "
        f"{_signed(checks['shuffled_gradient'])} (gradient) and {_signed(checks['shuffled_occlusion'])} (occlusion) "
        "with the true map of the same vertebra."
    )


def _area_row(area: str, metrics: dict[str, Any]) -> dict[str, Any]:
    """Size of an area; then of each map the share in it, and the grades that come from it where they add up."""
    groups = {name: metrics["maps"][name]["grades"][FRACTURED] for name in MAP_NAMES}
    cells = [_percent(groups[metrics["shown"]]["area"][area])]
    for figures in groups.values():
        cells.append(_percent(figures["share"][area]))
        cells += [estimate_text(figures["grades"][area])] if figures["grades"] else []
    return {"name": AREA_NAMES[area].removeprefix("its ").removeprefix("the ").capitalize(), "cells": cells}


def _percent(cell: dict[str, Any]) -> str:
    return "n/a" if cell["value"] is None else f"{100 * cell['value']:.0f} %"


def _height_rows(heights: pd.DataFrame) -> list[dict[str, Any]]:
    """From grade 0 to 3, of all groups with enough vertebrae; points of the expected height."""
    rows = []
    whole = heights[heights["step"] == "0-3"]
    for (part, shape, source), group in whole.groupby(["part", "shape", "source"], sort=False):
        cells = group.set_index("column")
        if cells["change"].isna().any():
            continue
        texts = [_points(cells.loc[column]) for column in HEIGHTS]
        counts = cells.iloc[0]
        name = f"{shape}, {'all levels' if part == 'all' else part}".capitalize()
        row = {"name": name, "source": SOURCE_NAMES[str(source)], "n": int(counts["vertebrae"]), "cells": texts}
        rows.append(row)
    return sorted(rows, key=lambda row: ("all levels" not in row["name"], row["name"]))


def _points(cell: Any) -> str:
    value, low, high = (None if pd.isna(cell[of]) else 100 * cell[of] for of in ("change", "low", "high"))
    return estimate_text({"value": value, "low": low, "high": high}, 1)


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")
