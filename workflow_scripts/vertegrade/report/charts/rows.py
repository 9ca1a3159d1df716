"""The vertebrae that the charts draw, and what the page tells of each when a reader points at it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from vertegrade.report.charts.latent_map import LatentMap
from vertegrade.report.montage import flags_in, levels_in, with_doubts
from vertegrade.report.severities import interval_text, severity_text
from vertegrade.report.spread import spread_by_severity
from vertegrade.tables import KEY, PATIENT_KEY
from vertegrade.vertebra_reasons import doubts_of

# So that the page of a large cohort stays one that can be mailed: of more vertebrae than these, spread evenly over
# their severity are drawn.
MOST = {"test": 2000, "validation": 1000, "train": 1000}
MEASURED = ("grade", "severity", "severity_low", "severity_high", "p_fracture")


def drawn_vertebrae(
    predictions: Mapping[str, pd.DataFrame], grades: pd.DataFrame, labels: pd.DataFrame
) -> pd.DataFrame:
    """The vertebrae that are drawn, by split, patient, scan and vertebra: those that the first method graded.

    predictions: PREDICTIONS by method. grades: GRADE_TABLE, for the flags. labels: LABELS. Columns: PATIENT_KEY, split,
    level, flags (words), genant_grade (NaN where unknown), shape, height_loss, and NAME_METHOD of MEASURED, NaN where
    that method gives no grade.
    """
    main = next(iter(predictions.values()))
    chosen = pd.concat([spread_by_severity(main, most, split) for split, most in MOST.items()])
    chosen["split"] = pd.Categorical(chosen["split"], list(MOST))
    rows = with_doubts(chosen.sort_values(["split", *PATIENT_KEY], ignore_index=True), grades)
    drawn = rows[[*PATIENT_KEY, "split"]].astype({"split": str})
    drawn["level"] = levels_in(rows)
    drawn["flags"] = [", ".join(doubts_of(flags)) for flags in flags_in(rows)]
    usable = labels.loc[labels["usable"], [*KEY, "genant_grade", "shape", "height_loss"]]
    drawn = drawn.merge(usable, on=KEY, how="left", validate="one_to_one")
    for method, table in predictions.items():
        own = table.loc[table["evaluable"], [*KEY, *MEASURED]]
        own = own.rename(columns={name: f"{name}_{method}" for name in MEASURED})
        drawn = drawn.merge(own, on=KEY, how="left", validate="one_to_one")
    return drawn


def left_out(predictions: Mapping[str, pd.DataFrame], drawn: pd.DataFrame, method: str) -> str:
    """A sentence on the test vertebrae that are not drawn; `method` is the first one's name for people."""
    main = next(iter(predictions.values()))
    test = main[main["split"] == "test"]
    graded, shown = int(test["evaluable"].sum()), int((drawn["split"] == "test").sum())
    parts = [f"{len(test) - graded} without a grade by {method} are left out"] if graded < len(test) else []
    if shown < graded:
        parts.append(f"{graded - shown} graded ones are left out, so that the page stays small (grades.csv has all)")
    return f"{shown} of {len(test)} test vertebrae are drawn" + "".join(f"; {part}" for part in parts) + "."


def told(drawn: pd.DataFrame, methods: Mapping[str, str], places: LatentMap | None) -> list[dict[str, Any]]:
    """What the page tells of each row: plain numbers and texts, "" or None where unknown. methods: names for people.

    `place`, where it lies on the map, is left out where it is not on it.
    """
    rows = []
    for index, row in enumerate(drawn.to_dict("records")):
        loss = row["height_loss"]
        rows.append(
            {
                "patient": row["patient_id"],
                "scan": row["scan_id"],
                "level": row["level"],
                "split": row["split"],
                "grade": grade_name(row["genant_grade"]),
                "shape": row["shape"] if isinstance(row["shape"], str) else "",
                "loss": "" if np.isnan(loss) else f"{100 * loss:.0f} %",
                "flags": row["flags"],
                "of": {label: _of(row, name) for name, label in methods.items()},
            }
        )
        if places and np.isfinite(places.places[index]).all():
            rows[-1]["place"] = [round(float(number), 3) for number in places.places[index]]
    return rows


def _of(row: Mapping[Any, Any], method: str) -> dict[str, Any] | None:
    """What a method says of a row, None where it gives no grade."""
    severity = row[f"severity_{method}"]
    if np.isnan(severity):
        return None
    return {
        "grade": int(row[f"grade_{method}"]),
        "severity": severity_text(severity, 2),
        "interval": interval_text(row[f"severity_low_{method}"], row[f"severity_high_{method}"], "–"),
        "p": "" if np.isnan(row[f"p_fracture_{method}"]) else f"{row[f'p_fracture_{method}']:.2f}",
    }


def grade_name(grade: float) -> str:
    """A true grade as the charts name it."""
    return "unknown" if np.isnan(grade) else f"{grade:.0f}"
