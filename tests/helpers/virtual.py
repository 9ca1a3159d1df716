"""Made-up scans with virtual fractures: VIRTUAL_TRUTH, and what was found in them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from vertegrade.drawn_tables import VIRTUAL_CASES, VIRTUAL_TRUTH
from vertegrade.spine.heights import genant_grade
from vertegrade.tables import (
    CENTRE_COLUMNS,
    HEIGHTS,
    LANDMARKS,
    POINT_COLUMNS,
    PREDICTIONS,
    SCANS,
    check_table,
    is_text,
)

HEIGHT_MM = 25.0


def truth_of(
    bodies: Sequence[Mapping[str, Any]], patient_id: str = "p0", source: str = "s0", copy: int = 1
) -> pd.DataFrame:
    """VIRTUAL_TRUTH of one virtual scan: bodies 30 mm apart, 25 mm high, the anterior height lost where `height_loss`.

    bodies: `vertebra`, `kind`, and what else differs from an intact one.
    """
    rows = []
    for body in bodies:
        loss = body.get("height_loss", 0.0)
        row: dict[str, Any] = {"height_loss": 0.0, "shape": "", "intact": True, "genant_grade": genant_grade(loss)}
        row |= {f"{kind}height_{column}_mm": HEIGHT_MM for kind in ("", "healthy_") for column in HEIGHTS}
        row |= dict.fromkeys([*CENTRE_COLUMNS, *POINT_COLUMNS], 0.0) | {"centre_z_mm": -30.0 * body["vertebra"]}
        row |= {"height_anterior_mm": HEIGHT_MM * (1 - loss)} | dict(body)
        rows.append(row)
    table = pd.DataFrame(rows).assign(patient_id=patient_id, scan_id=f"{source}-virtual-{copy}", source_scan_id=source)
    return check_table(table[[*VIRTUAL_TRUTH.columns]], VIRTUAL_TRUTH, "truth")


def landmarks_of(truth: pd.DataFrame) -> pd.DataFrame:
    """LANDMARKS of a localizer that found each body where it is."""
    columns = ["patient_id", "scan_id", "vertebra", *CENTRE_COLUMNS, *POINT_COLUMNS]
    table = truth[columns].assign(confidence=1.0, source="learned", evaluable=True, reason="")
    return check_table(table, LANDMARKS, "landmarks")


def case(kind: str, loss: float = 0.0, severity: float | None = 0.0, **more: Any) -> dict[str, Any]:
    """A row of VIRTUAL_CASES: graded as severity says, or found but not graded where that is None."""
    graded = severity is not None
    value = math.nan if severity is None else severity
    row = {
        "patient_id": "p0",
        "vertebra": 20,
        "kind": kind,
        "genant_grade": genant_grade(loss),
        "shape": "wedge" if kind == "fracture" else "",
        "height_loss": loss,
        "region": "T10-L2",
        "scanner": "Siemens, B31f, <= 1 mm",
        "method": "dae",
        "severity": value,
        "severity_low": value - 0.5 if graded and value > 0.5 else 0.0 if graded else math.nan,
        "severity_high": min(value + 0.5, 3.0),
        "grade": round(value) if graded else -1,
        "evaluable": graded,
        "reason": "" if graded else "cut_by_scan",
        "novelty": math.nan,
        "unlike_training": False,
        "threshold": math.nan,
    }
    return row | more


def cases_of(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """VIRTUAL_CASES of rows by `case`, each vertebra in a scan of its own."""
    table = pd.DataFrame(rows)
    table["source_scan_id"] = table["patient_id"]
    table["scan_id"] = [f"{patient}-virtual-{n}" for n, patient in enumerate(table["patient_id"])]
    heights = [f"{of}_{column}_mm" for of in ("height", "measured") for column in HEIGHTS]
    table = table.reindex(columns=dict.fromkeys([*table.columns, *heights, "found", "noticed"]))
    table["found"] = table["found"].fillna(table["vertebra"])
    table["noticed"] = table["grade"] >= 1
    return check_table(table[[*VIRTUAL_CASES.columns]], VIRTUAL_CASES, "cases")


def predictions_of(landmarks: pd.DataFrame, severity: Sequence[float], split: str = "test") -> pd.DataFrame:
    """PREDICTIONS of a method that graded each found vertebra."""
    table = landmarks[["patient_id", "scan_id", "vertebra"]].assign(method="dae", split=split, severity=list(severity))
    for name in PREDICTIONS.columns:
        if name not in table and PREDICTIONS.columns[name].nullable:
            table[name] = math.nan
    table["grade"] = table["severity"].round().astype(int)
    table["severity_low"], table["severity_high"] = table["severity"] - 0.5, table["severity"] + 0.5
    table["severity_low"], table["severity_high"] = table["severity_low"].clip(0), table["severity_high"].clip(upper=3)
    table = table.assign(evaluable=True, reason="", flags="", patient_fractured=-1)
    return check_table(table.reindex(columns=[*PREDICTIONS.columns]), PREDICTIONS, "predictions")


def states_of(truth: pd.DataFrame, **more: Any) -> pd.DataFrame:
    """SCANS of the virtual scans of a truth, all done."""
    texts = {name: "" for name, column in SCANS.columns.items() if is_text(column)}
    table = truth[["patient_id", "scan_id"]].drop_duplicates()
    table = table.assign(**{name: text for name, text in texts.items() if name not in table})
    table = table.assign(state="done", slice_spacing_mm=2.5, **more)
    return check_table(table.reindex(columns=[*SCANS.columns]), SCANS, "scans")
