"""Tables of all vertebrae and of all curves in the words and units of people, with the errors of what was measured."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from vertegrade.records.patient import CURVES, NOTICE
from vertegrade.tables import CURVE_TABLE, HEIGHTS, VERTEBRA_TABLE, check_table, empty_table

OF_METHOD = ("grade", "severity", "severity_low", "severity_high", "p_fracture")


def vertebra_table(records: Mapping[str, dict[str, Any]]) -> pd.DataFrame:
    """VERTEBRA_TABLE of the records of patients (`records.patient`): grades of the main method, cells empty where none.

    Vertebrae that were found but never graded have rows too, with the reason.
    """
    rows = [row for record in records.values() for row in _rows(record)]
    if not rows:
        return empty_table(VERTEBRA_TABLE)
    return check_table(pd.DataFrame(rows), VERTEBRA_TABLE, "table of all vertebrae")


def curve_table(records: Mapping[str, dict[str, Any]]) -> pd.DataFrame:
    """CURVE_TABLE of the records: a row per scan that was read, cells empty where a curve was not measured."""
    rows = [
        {"research_use_only": NOTICE, "patient_id": record["patient_id"], "scan_id": scan["scan_id"]}
        | {f"{name}_deg": (scan[name] or {}).get("value") for name in CURVES}
        | {f"{name}_error_deg": (scan[name] or {}).get("error") for name in CURVES}
        for record in records.values()
        for scan in record["scans"]
        if scan["state"] == "done"
    ]
    if not rows:
        return empty_table(CURVE_TABLE)
    table = pd.DataFrame(rows).reindex(columns=list(CURVE_TABLE.columns))
    return check_table(table, CURVE_TABLE, "table of all curves")


def _rows(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for scan in record["scans"]:
        for vertebra in scan["vertebrae"]:
            graded = vertebra["methods"].get(record["main_method"], {})
            heights = vertebra["heights"] or {}
            yield {
                "research_use_only": NOTICE,
                "patient_id": record["patient_id"],
                "scan_id": scan["scan_id"],
                "level": vertebra["level"],
                "vertebra": vertebra["vertebra"],
                "method": record["main_method"],
                **{name: graded.get(name) for name in OF_METHOD},
                **{f"height_{name}_mm": heights.get(name, {}).get("mm") for name in HEIGHTS},
                **{f"height_{name}_sd_mm": heights.get(name, {}).get("sd_mm") for name in HEIGHTS},
                **{f"intact_height_{name}_mm": heights.get(name, {}).get("intact_mm") for name in HEIGHTS},
                "height_loss": vertebra["height_loss"],
                "shape": vertebra["shape"] or "",
                **_beside(vertebra),
                "label_confidence": vertebra["label_confidence"],
                "evaluable": vertebra["evaluable"],
                "reason": vertebra["reason"],
                "flags": " ".join(vertebra["flags"]),
            }


def _beside(vertebra: dict[str, Any]) -> dict[str, Any]:
    """Trabecular HU with a note, or why there are none, disc below and slip with their errors, as in SPINE_MEASURES."""
    disc = vertebra["disc_below"] or {}
    hu, slip = vertebra["trabecular_hu"] or {}, vertebra["slip"] or {}
    found = {"trabecular_hu": hu.get("value"), "trabecular_hu_error": hu.get("error")}
    found |= {"hu_reason": vertebra["trabecular_hu_reason"], "hu_note": vertebra["trabecular_hu_note"]}
    found |= {f"disc_{name}_mm": disc.get(name, {}).get("value") for name in HEIGHTS}
    found |= {f"disc_{name}_error_mm": disc.get(name, {}).get("error") for name in HEIGHTS}
    return found | {"slip_mm": slip.get("value"), "slip_error_mm": slip.get("error")}
