"""What changed between two scans of a made-up patient."""

from typing import Any

import numpy as np
import pandas as pd

from vertegrade.follow_up.tables import FOLLOW_UP, FOLLOW_UP_SCANS
from vertegrade.levels import LABEL_OF
from vertegrade.tables import HEIGHTS, check_table

PAIR = {"patient_id": "p1", "scan_before": "a", "scan_after": "b", "months_before": 0.0, "months_after": 18.5}


def row(level: str, verdict: str, after: tuple[float, float, float], reason: str = "", **more: Any) -> dict[str, Any]:
    """A vertebra that was 24 / 23 / 25 mm high."""
    before = np.array([24.0, 23.0, 25.0])
    change = np.array(after) / before - 1
    worst = int(change.argmin())
    made = PAIR | {"vertebra_before": LABEL_OF[level], "vertebra_after": LABEL_OF[level], "match_probability": 0.99}
    made |= {"verdict": verdict, "reason": reason, "shape": "wedge", "column": HEIGHTS[worst]}
    made |= {"further_loss": -change[worst], "further_loss_error": 0.04, "p_further_loss": 0.9}
    for n, name in enumerate(HEIGHTS):
        made |= {f"height_{name}_before_mm": before[n], f"height_{name}_after_mm": after[n]}
        made |= {f"change_{name}_mm": after[n] - before[n], f"change_{name}_error_mm": 0.9}
        made |= {f"change_{name}": change[n], f"change_{name}_error": 0.04}
    made |= {"severity_before": 0.2, "severity_after": 2.4, "severity_change": 2.2}
    made |= {"severity_change_low": 1.5, "severity_change_high": 2.7, "grade_before": 0, "grade_after": 2}
    made |= {"label_confidence_before": 1.0, "label_confidence_after": np.nan, "flags_before": "", "flags_after": ""}
    return made | more


def table(*rows: dict[str, Any]) -> pd.DataFrame:
    return check_table(pd.DataFrame(rows, columns=list(FOLLOW_UP.columns)), FOLLOW_UP, "changes")


def pair(changes: pd.DataFrame, **more: Any) -> pd.DataFrame:
    counts = {name: int((changes["verdict"] == name).sum()) for name in ("new", "progressed", "stable", "unclear")}
    about_it = PAIR | {"reason": "", "shift": 0, "match_probability": 0.99, "compared": len(changes)} | counts | more
    return check_table(pd.DataFrame([about_it], columns=list(FOLLOW_UP_SCANS.columns)), FOLLOW_UP_SCANS, "pairs")


CHANGES = table(
    row("T12", "stable", (23.5, 23.0, 25.0), shape=""),
    row("L1", "new", (16.0, 18.0, 24.8)),
    row("L2", "progressed", (12.0, 18.0, 24.8)),
    row("L3", "unclear", (29.0, 23.0, 25.0), "taller"),
    row("L4", "stable", (24.5, 23.0, 25.1), shape=""),
)
