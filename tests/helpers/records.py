"""The record of one patient with a scan whose vertebrae have given heights and severities."""

from typing import Any

import numpy as np
import pandas as pd

from helpers.landmarks import landmarks, measure, normal_heights
from vertegrade.grading.grades import grade_table
from vertegrade.records.patient import Tables, patient_records
from vertegrade.tables import PREDICTIONS, SCANS, SPINE_CURVES, SPINE_MEASURES, check_table, empty_table


def record_of(
    severities: dict[int, float | str],
    scan_id: str = "s1",
    flags: str = "",
    bodies: pd.DataFrame | None = None,
    curves: pd.DataFrame | None = None,
) -> dict[str, Any]:
    """A patient `p1`; a severity by label, or the reason why there is none. A severe one has lost half in front.

    bodies, curves: SPINE_MEASURES and SPINE_CURVES; None for empty ones.
    """
    heights = {label: normal_heights(label) for label in severities}
    for label, severity in severities.items():
        if severity == "unlike_training" or (isinstance(severity, float) and severity > 2):
            heights[label] = heights[label] * [0.5, 0.7, 1.0]
    found = landmarks(heights, scan=scan_id, flags=flags)
    dae = check_table(pd.DataFrame([_row(scan_id, *each, flags) for each in severities.items()]), PREDICTIONS, "dae")
    scan = {"patient_id": "p1", "scan_id": scan_id, "state": "done", "reason": "", "message": "", "slices": 40.0}
    scan |= dict.fromkeys(("slice_spacing_mm", "slice_thickness_mm", "pixel_mm"), 1.0)
    scan |= {"manufacturer": "Maker", "kernel": "B", "image_sha256": "0", "warnings": "", "flags": ""}
    scans = check_table(pd.DataFrame([scan]), SCANS, "scans")
    beside = (
        empty_table(SPINE_MEASURES) if bodies is None else bodies,
        empty_table(SPINE_CURVES) if curves is None else curves,
    )
    tables = Tables(scans, found, measure(found), *beside, grade_table({"dae": dae}), {"dae": dae})
    return patient_records(tables)["p1"]


def _row(scan_id: str, label: int, severity: float | str, flags: str) -> dict[str, Any]:
    graded = isinstance(severity, float)
    number = float(severity) if graded else np.nan
    row = {"patient_id": "p1", "scan_id": scan_id, "vertebra": label, "method": "dae", "split": "test"}
    row |= {"signed_distance": number, "severity": number, "p_fracture": number / 3}
    row |= {f"p_grade_{grade}": 0.25 if graded else np.nan for grade in range(4)}
    row |= {"grade": round(number) if graded else -1}
    ends = (max(number - 0.4, 0), min(number + 0.4, 3)) if graded else (np.nan, np.nan)
    row |= {"severity_low": ends[0], "severity_high": ends[1]}
    row |= {"novelty": 0.995 if severity == "unlike_training" else 0.5, "evaluable": graded}
    own = f"{flags} unlike_training".strip() if severity == "unlike_training" else flags  # as the rule `grade` says it
    return row | {"reason": "" if graded else severity, "label_confidence": 0.98, "flags": own}
