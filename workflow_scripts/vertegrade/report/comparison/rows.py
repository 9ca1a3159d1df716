"""Tables of the comparison as rows of text for its page."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from vertegrade.evaluation.comparison.figure import label_of, methods_of
from vertegrade.evaluation.comparison.tables import NOT_SAID, OTHER_DATA, PATIENTS, SEQ2SEQ, THIS_RUN, VERTEBRAE
from vertegrade.evaluation.texts import estimate_text

Cell = dict[str, Any]
# Figure, heading, digits.
OF_VERTEBRAE = (
    ("auc", "AUC", 3),
    ("sensitivity", "Sensitivity", 2),
    ("specificity", "Specificity", 2),
    ("macro_f1", "Macro-F1", 2),
    ("spearman_grade", "Spearman, grade", 2),
    ("spearman_height_loss", "Spearman, height loss", 2),
    ("mae", "Mean abs. error", 2),
    ("interval_coverage", "Interval coverage", 2),
    ("graded", "Graded", 2),
)
OF_PATIENTS = (OF_VERTEBRAE[0], OF_VERTEBRAE[1], OF_VERTEBRAE[2], OF_VERTEBRAE[-1])
NOT_OF_PAIRS = ("spearman_height_loss", "interval_coverage", "graded")
DELONG = "AUC, DeLong interval"
UNITS = {VERTEBRAE: "vertebrae", PATIENTS: "patients", NOT_SAID: "unit not said"}
NAMES = {figure: heading for figure, heading, _ in OF_VERTEBRAE}
GAIN = "sensitivity_gain_"


def cells_of(comparison: pd.DataFrame) -> dict[tuple[str, str, str, str], Cell]:
    """Cells of the run's rows by method, minus, unit and figure; None where a number is undefined."""
    own = comparison[comparison["data"] == THIS_RUN]
    return {
        (row["method"], row["minus"], row["unit"], row["figure"]): {
            str(key): None if pd.isna(value) else value for key, value in row.items()
        }
        for row in own.to_dict("records")
    }


def headings(unit: str, comparison: pd.DataFrame, pairs: bool = False) -> list[str]:
    """Headings of the columns of a level's table of methods, or of pairs."""
    names = [heading for _, heading, _ in _columns(unit, comparison, pairs)]
    return [names[0], DELONG, *names[1:]]


def _columns(unit: str, comparison: pd.DataFrame, pairs: bool = False) -> list[tuple[str, str, int]]:
    """Figures that the run has values of; those of height loss are known of phantoms only. Pairs have fewer."""
    own = comparison[(comparison["data"] == THIS_RUN) & (comparison["unit"] == unit) & comparison["value"].notna()]
    wanted = OF_VERTEBRAE if unit == VERTEBRAE else OF_PATIENTS
    unwanted = NOT_OF_PAIRS if pairs else ()
    return [column for column in wanted if column[0] in {"auc", *own["figure"]} and column[0] not in unwanted]


def method_rows(unit: str, comparison: pd.DataFrame) -> list[dict[str, Any]]:
    """The run's methods, then papers that report one of the columns."""
    columns, cells = _columns(unit, comparison), cells_of(comparison)
    rows = [_row(label_of(name), cells, (name, ""), unit, columns) for name in methods_of(comparison, unit)]
    others = comparison[(comparison["data"] == OTHER_DATA) & (comparison["unit"] == unit)]
    for system, figures in others.groupby("method", sort=False):
        values = dict(zip(figures["figure"], figures["value"], strict=True))
        if values.keys() & {figure for figure, _, _ in columns}:
            texts = [f"{values[figure]:g}" if figure in values else "" for figure, _, _ in columns]
            rows.append({"name": system, "other": True, "cells": [texts[0], "", *texts[1:]]})
    return rows


def pair_rows(unit: str, comparison: pd.DataFrame) -> list[dict[str, Any]]:
    """Differences of each pair."""
    columns, cells = _columns(unit, comparison, pairs=True), cells_of(comparison)
    pairs = dict.fromkeys((one, other) for one, other, of, _ in cells if other and of == unit)
    return [_row(f"{label_of(one)} − {label_of(other)}", cells, (one, other), unit, columns) for one, other in pairs]


def _row(
    name: str,
    cells: Mapping[tuple[str, str, str, str], Cell],
    pair: tuple[str, str],
    unit: str,
    columns: Sequence[tuple[str, str, int]],
) -> dict[str, Any]:
    texts = [estimate_text(cells[(*pair, unit, figure)], digits) for figure, _, digits in columns]
    return {"name": name, "other": False, "cells": [texts[0], delong_text(cells[(*pair, unit, "auc")]), *texts[1:]]}


def delong_text(cell: Cell) -> str:
    """The DeLong interval alone, in brackets, in which no line breaks."""
    if cell["delong_low"] is None:
        return "n/a"
    between = " to " if cell["delong_low"] < 0 else "–"
    return f" ({cell['delong_low']:.3f}{between}{cell['delong_high']:.3f})".replace("-", "−")


def published(comparison: pd.DataFrame) -> list[dict[str, str]]:
    """What papers report, figure by figure with its source."""
    others = comparison[comparison["data"] == OTHER_DATA]
    return [
        {
            "name": row["method"],
            "unit": UNITS[row["unit"]],
            "figure": f"Gain of sensitivity, {row['figure'].removeprefix(GAIN)} lesions"
            if row["figure"].startswith(GAIN)
            else NAMES[row["figure"]],
            "value": f"{row['value']:g}",
            "source": row["source"],
        }
        for row in others.to_dict("records")
    ]


def counts_text(comparison: pd.DataFrame) -> str:
    """How many vertebrae and patients are compared."""
    cells, first = cells_of(comparison), methods_of(comparison)[0]

    def fractured(unit: str) -> tuple[int, int]:
        with_, without = (cells[first, "", unit, name]["n"] for name in ("sensitivity", "specificity"))
        return with_ + without, with_

    (vertebrae, broken), (patients, ill) = fractured(VERTEBRAE), fractured(PATIENTS)
    return f"{vertebrae} vertebrae ({broken} fractured) of {patients} patients ({ill} with a fracture)"


def left_out_rows(left_out: pd.DataFrame, reasons: Mapping[str, str]) -> list[dict[str, Any]]:
    """What each method did not grade, and of that what all others graded."""
    return [
        {
            "name": label_of(row["method"]),
            "reason": row["reason"].replace("_", " "),
            "meaning": reasons.get(row["reason"], ""),
            "cells": [str(row["vertebrae"]), str(row["alone"])],
        }
        for row in left_out.to_dict("records")
    ]


def unread_text(scans: Mapping[str, Any]) -> str:
    """How many scans seq2seq could not evaluate, and why. scans: those of `scan_metrics`, by split."""
    reasons: Counter[str] = Counter()
    for of in scans.values():
        reasons.update(of["not_evaluable"])
    total = sum(of["scans"] for of in scans.values())
    told = ", ".join(f"{reason.replace('_', ' ')} ({count})" for reason, count in reasons.most_common())
    read = f"{label_of(SEQ2SEQ)} could evaluate {total - reasons.total()} of {total} scans of all splits"
    return f"{read}, and not: {told}." if told else f"{read}."
