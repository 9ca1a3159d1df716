"""Landmarks corrected by hand: a CSV that has priority over whatever found the vertebrae.

Columns: scan_id, vertebra, action, and what the action needs: new_vertebra, centre_x_mm, centre_y_mm, centre_z_mm, the
18 coordinates of the six points (tables.POINT_COLUMNS), comment. Vertebrae are VerSe labels or names (20 or L1),
positions RAS mm. Actions: `replace` (the vertebra's centre and points), `add` (a vertebra that was missed), `delete`
(what is no vertebra), `relabel` (the vertebra is new_vertebra). Columns that no row needs may be left out.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa

from vertegrade.cohort.sheet import SheetError, delimited_rows
from vertegrade.columns import IDENTIFIER
from vertegrade.level_texts import parse_level
from vertegrade.levels import NAMES, craniocaudal_rank
from vertegrade.reasons import Refused
from vertegrade.tables import CENTRE_COLUMNS, LANDMARKS, POINT_COLUMNS, POINT_SD_COLUMNS, check_table, empty_table

ACTIONS = ("replace", "delete", "add", "relabel")
REQUIRED = ["scan_id", "vertebra", "action"]
COLUMNS = [*REQUIRED, "new_vertebra", *CENTRE_COLUMNS, *POINT_COLUMNS, "comment"]
SOURCE = "override"

# One row per correction. new_vertebra is 0 unless the action is relabel; positions are NaN where not given.
OVERRIDES = pa.DataFrameSchema(
    {
        "scan_id": pa.Column(str, pa.Check.str_matches(IDENTIFIER)),
        "vertebra": pa.Column(int, pa.Check.isin(list(NAMES))),
        "action": pa.Column(str, pa.Check.isin(ACTIONS)),
        "new_vertebra": pa.Column(int, pa.Check.isin([0, *NAMES])),
        **{name: pa.Column(float, nullable=True) for name in [*CENTRE_COLUMNS, *POINT_COLUMNS]},
        "comment": pa.Column(str),
    },
    strict=True,
    coerce=True,
    ordered=True,
    unique=["scan_id", "vertebra"],
)


def read_overrides(path: str | Path) -> pd.DataFrame:
    """Read the CSV (comma, semicolon or tab) into table OVERRIDES; "" is no overrides.

    SheetError: unreadable, unknown or missing columns, or impossible rows, all of them named by line.
    """
    rows: list[dict[str, Any]] = []
    problems: list[str] = []
    first_line: dict[tuple[str, int], int] = {}
    table = delimited_rows(path, COLUMNS, REQUIRED, "localize.overrides") if str(path) else []
    for line, texts in enumerate(table, start=2):
        row, wrong = _row(texts)
        key = row["scan_id"], row["vertebra"]
        if not wrong and key in first_line:
            wrong = [f"scan {key[0]!r}, vertebra {key[1]} is already on line {first_line[key]}"]
        first_line.setdefault(key, line)
        problems += [f"line {line}: {problem}" for problem in wrong]
        rows.append(row)
    if problems:
        raise SheetError(f"{path}:\n" + "\n".join(problems))
    return check_table(pd.DataFrame(rows, columns=COLUMNS), OVERRIDES, str(path)) if rows else empty_table(OVERRIDES)


def _row(texts: dict[str, str]) -> tuple[dict[str, Any], list[str]]:
    """One row as values, and what is wrong with it."""
    problems = []
    action = texts["action"]
    row: dict[str, Any] = {"scan_id": texts["scan_id"], "action": action, "comment": texts.get("comment", "")}
    if action not in ACTIONS:
        problems.append(f"action {action!r} must be one of {', '.join(ACTIONS)}")
    for column in ("vertebra", "new_vertebra"):
        text = texts.get(column, "")
        wanted = column == "vertebra" or action == "relabel"
        row[column] = parse_level(text) or 0
        if wanted and not row[column]:
            problems.append(f"{column} {text!r} is no VerSe vertebra (1-7, 8-19, 20-25, 28, or a name such as L1)")
        if not wanted and text:
            problems.append(f"new_vertebra belongs to action relabel, not to {action}")
    if not texts["scan_id"]:
        problems.append("scan_id is empty")
    for column in [*CENTRE_COLUMNS, *POINT_COLUMNS]:
        try:
            row[column] = float(texts.get(column) or "nan")
        except ValueError:
            row[column] = math.inf
        if math.isinf(row[column]):
            hint = "; write a decimal point" if "," in texts[column] else ""
            problems.append(f"{column} {texts[column]!r} is not a number{hint}")
    return row, problems + _missing(action, row)


def _missing(action: str, row: dict[str, Any]) -> list[str]:
    """What an action needs and the row lacks: all or none of the points, a centre for replace and add."""
    known = {
        name: np.isfinite(np.array([row[column] for column in columns], dtype=float))
        for name, columns in (("centre", CENTRE_COLUMNS), ("six points", POINT_COLUMNS))
    }
    problems = [
        f"the {name} must be given with all coordinates or none"
        for name, here in known.items()
        if here.any() and not here.all()
    ]
    placed = known["centre"].any() or known["six points"].any()
    if action in ("replace", "add") and not placed:
        problems.append(f"action {action} needs a centre or six points")
    if action in ("delete", "relabel") and placed:
        problems.append(f"action {action} takes no positions; use replace to move a vertebra")
    return problems


def adds_to(overrides: pd.DataFrame, scan_id: str) -> bool:
    """Whether the corrections (table OVERRIDES) add a vertebra to a scan: it then needs none that was found."""
    return bool(((overrides["scan_id"] == scan_id) & (overrides["action"] == "add")).any())


def apply_overrides(landmarks: pd.DataFrame, overrides: pd.DataFrame, scan_id: str, patient_id: str) -> pd.DataFrame:
    """Landmarks of one scan (table LANDMARKS, perhaps empty) after the corrections (table OVERRIDES) that name it.

    What is corrected gets source `override` and confidence 1, and counts as evaluable. A new centre without points
    removes the old points. Points without a centre have their mean as centre. A relabelled vertebra keeps its place.
    Relabels act together, so that two vertebrae can swap names. An empty table is returned unchanged.
    Refused (`overrides_misfit`): a vertebra to change that was not found, one to add that was, or two of one name.
    """
    rows = {row["vertebra"]: row for row in landmarks.to_dict("records")}
    mine = overrides[overrides["scan_id"] == scan_id]
    if mine.empty:
        return landmarks
    problems = []
    for vertebra, action in zip(mine["vertebra"], mine["action"], strict=True):
        if (vertebra in rows) == (action == "add"):
            fact = "is there already: use replace" if action == "add" else f"was not found: cannot {action} it"
            problems.append(f"{NAMES[vertebra]} {fact}")
    if problems:
        raise Refused("overrides_misfit", f"overrides of scan {scan_id}: " + "; ".join(problems))
    taken = {change["vertebra"]: rows.pop(change["vertebra"], None) for change in mine.to_dict("records")}
    changed = [
        _changed(change, taken[change["vertebra"]], patient_id)
        for change in mine.to_dict("records")
        if change["action"] != "delete"
    ]
    table = pd.DataFrame([*rows.values(), *changed], columns=landmarks.columns)
    twice = table["vertebra"][table["vertebra"].duplicated()].tolist()
    if twice:
        names = ", ".join(NAMES[v] for v in twice)
        raise Refused("overrides_misfit", f"overrides of scan {scan_id}: two vertebrae are {names}")
    table = table.sort_values("vertebra", key=lambda labels: labels.map(craniocaudal_rank), kind="stable")
    return check_table(table, LANDMARKS, f"landmarks of scan {scan_id} with overrides") if len(table) else landmarks[:0]


def _changed(change: dict[Any, Any], found: dict[Any, Any] | None, patient_id: str) -> dict[Any, Any]:
    """The landmark after a correction."""
    row = dict(found or {})
    row |= {"patient_id": patient_id, "scan_id": change["scan_id"], "source": SOURCE}
    row |= {"confidence": 1.0, "label_confidence": 1.0}
    row |= {"evaluable": True, "reason": "", "vertebra": change["new_vertebra"] or change["vertebra"]}
    if change["action"] == "relabel":
        return row
    row |= dict.fromkeys(POINT_SD_COLUMNS, math.nan)
    points = np.array([change[name] for name in POINT_COLUMNS], dtype=float)
    centre = np.array([change[name] for name in CENTRE_COLUMNS], dtype=float)
    centre = np.where(np.isnan(centre), points.reshape(6, 3).mean(axis=0), centre)
    row |= dict(zip(POINT_COLUMNS, points.tolist(), strict=True))
    return row | dict(zip(CENTRE_COLUMNS, centre.tolist(), strict=True))
