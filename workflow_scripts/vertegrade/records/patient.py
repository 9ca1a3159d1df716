"""One record per patient: all that a run found of the patient's scans and vertebrae, as plain values for JSON.

docs/reference/patient.schema.json is its contract. Numbers that are unknown are null, and so are the grades of a method
that gave none. It contains pseudonyms and no path: messages of scans, which name files, are left out.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from vertegrade.levels import NAMES, craniocaudal_rank
from vertegrade.tables import CENTRE_COLUMNS, GRADES, HEIGHTS, KEY, POINTS

NOTICE = "not a medical device"
FORMAT = "vertegrade-patient/1"
DECIMALS = 6
SCAN_NUMBERS = ("slices", "slice_spacing_mm", "slice_thickness_mm", "pixel_mm")
SCAN_TEXTS = ("scan_id", "state", "reason", "manufacturer", "kernel")
GRADE_NUMBERS = ("severity", "severity_low", "severity_high", "p_fracture", "novelty")
CURVES = ("kyphosis", "lordosis", "scoliosis")

Key = tuple[str, int]
Row = dict[str, Any]


@dataclass(frozen=True)
class Tables:
    """What records are made of: SCANS, LANDMARKS, MEASUREMENTS, SPINE_MEASURES, SPINE_CURVES, GRADE_TABLE, and
    PREDICTIONS by method, main first."""

    scans: pd.DataFrame
    landmarks: pd.DataFrame
    measurements: pd.DataFrame
    bodies: pd.DataFrame
    curves: pd.DataFrame
    grades: pd.DataFrame
    predictions: Mapping[str, pd.DataFrame]


def patient_records(tables: Tables) -> dict[str, dict[str, Any]]:
    """The record of each patient of SCANS by `patient_id`, sorted; scans by their id, vertebrae from head to feet."""
    measured, grades, bodies = (_by_key(table) for table in (tables.measurements, tables.grades, tables.bodies))
    predictions = {method: _by_key(table) for method, table in tables.predictions.items()}
    found: dict[str, list[Row]] = {}
    for row in _rows(tables.landmarks):
        key = (row["scan_id"], row["vertebra"])
        graded = {method: rows[key] for method, rows in predictions.items() if key in rows}
        vertebra = _vertebra(row, grades.get(key), measured.get(key), graded)
        vertebra |= _beside(bodies.get(key), vertebra["flags"])
        found.setdefault(row["scan_id"], []).append(vertebra)
    curves = {row["scan_id"]: row for row in _rows(tables.curves)}
    said = {row["patient_id"]: row for row in _rows(tables.grades)}  # the same in all rows of a patient
    records: dict[str, dict[str, Any]] = {}
    for scan in sorted(_rows(tables.scans), key=lambda row: (row["patient_id"], row["scan_id"])):
        name = scan["patient_id"]
        if name not in records:
            records[name] = _patient(name, said.get(name, {}), list(tables.predictions))
        ordered = sorted(found.get(scan["scan_id"], []), key=lambda row: craniocaudal_rank(row["vertebra"]))
        records[name]["scans"].append(_scan(scan) | _curves(curves.get(scan["scan_id"])) | {"vertebrae": ordered})
    return records


def _patient(name: str, says: Mapping[str, Any], methods: list[str]) -> dict[str, Any]:
    fractured = says.get("patient_fractured")
    return {
        "format": FORMAT,
        "research_use_only": NOTICE,
        "patient_id": name,
        "p_fracture": number(says.get("patient_p_fracture")),
        "fractured": None if fractured is None or pd.isna(fractured) else bool(fractured),
        "main_method": methods[0],
        "scans": [],
    }


def _scan(row: Row) -> dict[str, Any]:
    texts = {name: row[name] for name in SCAN_TEXTS}
    return texts | {name: number(row[name]) for name in SCAN_NUMBERS} | {"flags": row["flags"].split()}


def _vertebra(row: Row, grade: Row | None, measured: Row | None, predictions: Mapping[str, Row]) -> dict[str, Any]:
    """A row of LANDMARKS with what the later tables say of it. Why it has no grade is what the last of them says."""
    last = grade or row
    points = {point: _point(row, point) for point in POINTS}
    known = all(None not in point for point in points.values())
    return {
        "level": NAMES[row["vertebra"]],
        "vertebra": row["vertebra"],
        "label_confidence": number(row.get("label_confidence")),
        "centre_mm": [number(row[name]) for name in CENTRE_COLUMNS],
        "points_mm": points if known else None,
        "evaluable": bool(last["evaluable"]) and grade is not None,
        "reason": last["reason"],
        "flags": str(last.get("flags") or "").split(),
        "heights": _heights(measured) if measured else None,
        "shape": measured["shape"] if measured and measured["shape"] else None,
        "height_loss": number(measured["height_loss"]) if measured else None,
        "height_loss_sd": number(measured["height_loss_sd"]) if measured else None,
        "methods": {method: _grade(found) for method, found in predictions.items()},
    }


def _beside(measured: Row | None, flags: list[str]) -> dict[str, Any]:
    """Trabecular HU with what to know of them, the disc below, the slip on the next vertebra. No HU of what is unlike
    the training."""
    found: dict[str, Any] = {"trabecular_hu": None, "trabecular_hu_note": "", "disc_below": None, "slip": None}
    if measured is None:
        return found | {"trabecular_hu_reason": "not_measured"}
    reason = "unlike_training" if "unlike_training" in flags else measured["hu_reason"]
    if not reason:
        found["trabecular_hu"] = _with_error(measured, "trabecular_hu", "trabecular_hu_error")
        found["trabecular_hu_note"] = measured["hu_note"]
    discs = {name: _with_error(measured, f"disc_{name}_mm", f"disc_{name}_error_mm") for name in HEIGHTS}
    if None not in discs.values():
        found |= {"disc_below": discs, "slip": _with_error(measured, "slip_mm", "slip_error_mm")}
    return found | {"trabecular_hu_reason": reason}


def _curves(measured: Row | None) -> dict[str, Any]:
    """Angles of a scan's curves in degrees."""
    return {name: _with_error(measured, f"{name}_deg", f"{name}_error_deg") if measured else None for name in CURVES}


def _with_error(row: Row, name: str, error: str) -> dict[str, float | None] | None:
    value = number(row[name])
    return None if value is None else {"value": value, "error": number(row[error])}


def _point(row: Row, point: str) -> list[float | None]:
    return [number(row[f"{point}_{axis}_mm"]) for axis in "xyz"]


def _heights(row: Row) -> dict[str, Any] | None:
    """The three heights, with the error, the height of an intact vertebra, and the loss; None where not measured."""
    if not math.isfinite(row["height_posterior_mm"]):
        return None
    return {
        column: {
            "mm": number(row[f"height_{column}_mm"]),
            "sd_mm": number(row[f"height_{column}_sd_mm"]),
            "intact_mm": number(row[f"intact_height_{column}_mm"]),
            "loss": number(row[f"loss_{column}"]),
        }
        for column in HEIGHTS
    }


def _grade(row: Row) -> dict[str, Any]:
    graded = bool(row["evaluable"])
    return {
        "evaluable": graded,
        "reason": row["reason"],
        "grade": int(row["grade"]) if graded else None,
        **{name: number(row[name]) for name in GRADE_NUMBERS},
        "p_grades": [number(row[f"p_grade_{grade}"]) for grade in GRADES] if graded else None,
    }


def number(value: Any) -> float | None:
    """A number for JSON: finite, of at most DECIMALS decimals; None where it is unknown."""
    if value is None or pd.isna(value) or not math.isfinite(value):
        return None
    return round(float(value), DECIMALS) + 0.0  # + 0.0: never -0.0


def _rows(table: pd.DataFrame) -> Iterable[Row]:
    """Rows with the column names as text, which pandas does not promise to a type checker."""
    return ({str(name): value for name, value in row.items()} for row in table.to_dict("records"))


def _by_key(table: pd.DataFrame) -> dict[Key, Row]:
    return {(row[KEY[0]], row[KEY[1]]): row for row in _rows(table)}
