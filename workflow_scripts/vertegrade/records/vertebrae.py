"""One table of all vertebrae in the words and units of people: level, grade, heights in mm with their errors."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from vertegrade.records.patient import NOTICE
from vertegrade.tables import HEIGHTS, VERTEBRA_TABLE, check_table, empty_table

OF_METHOD = ("grade", "severity", "severity_low", "severity_high", "p_fracture")


def vertebra_table(records: Mapping[str, dict[str, Any]]) -> pd.DataFrame:
    """VERTEBRA_TABLE of the records of patients (`records.patient`): grades of the main method, cells empty where none.

    Vertebrae that were found but never graded have rows too, with the reason.
    """
    rows = [row for record in records.values() for row in _rows(record)]
    if not rows:
        return empty_table(VERTEBRA_TABLE)
    return check_table(pd.DataFrame(rows), VERTEBRA_TABLE, "table of all vertebrae")


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


def _beside(vertebra: dict[str, Any]) -> dict[str, float | None]:
    """Trabecular HU, disc below and slip, as in SPINE_MEASURES."""
    disc = vertebra["disc_below"] or {}
    hu, slip = vertebra["trabecular_hu"] or {}, vertebra["slip"] or {}
    found = {"trabecular_hu": hu.get("value"), "trabecular_hu_error": hu.get("error")}
    found |= {f"disc_{name}_mm": disc.get(name, {}).get("value") for name in HEIGHTS}
    return found | {"slip_mm": slip.get("value")}
