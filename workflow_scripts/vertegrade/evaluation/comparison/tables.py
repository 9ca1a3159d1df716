"""Tables of the comparison: columns, types and units, checked when written and when read."""

import pandera.pandas as pa

from vertegrade.columns import EVALUABLE, VERTEBRA, contract, number, text, whole
from vertegrade.tables import GRADES

THIS_RUN, OTHER_DATA = "this run", "other data"
VERTEBRAE, PATIENTS, NOT_SAID = "vertebra", "patient", "not said"
METHOD = r"^[a-z0-9_]+$"
# What seq2seq says of whole scans, beside its grades of vertebrae: rows of patients alone, as of one more method.
SEQ2SEQ, WHOLE_SCAN = "seq2seq", "seq2seq_whole_scan"

# One row per figure of a method, of a difference of two (method - minus), or of a paper (other data: method is its
# name). low, high: bootstrap over patients. delong_low, delong_high: of AUC alone. NaN where undefined.
COMPARISON = contract(
    {
        "data": pa.Column(str, pa.Check.isin([THIS_RUN, OTHER_DATA])),
        "method": text(),
        "minus": text(),
        "unit": pa.Column(str, pa.Check.isin([VERTEBRAE, PATIENTS, NOT_SAID])),
        "figure": text(METHOD),
    }
    | {name: number(nullable=True) for name in ("value", "low", "high", "delong_low", "delong_high")}
    | {"n": whole(), "patients": whole(), "source": text()},
    ["data", "method", "minus", "unit", "figure", "source"],
)

# One row per labelled test vertebra and method. compared: graded by every method.
COMPARED_CASES = contract(
    VERTEBRA
    | {"method": text(METHOD), "genant_grade": whole(GRADES), "shape": text()}
    | {"height_loss": number(0, 1, nullable=True), "slice_thickness_mm": number(nullable=True)}
    | {name: number(0, 3, nullable=True) for name in ("severity", "severity_low", "severity_high")}
    | {"grade": whole([-1, *GRADES]), **EVALUABLE, "compared": pa.Column(bool)},
    ["method", "scan_id", "vertebra"],
)

# One row per method, share of labelled training patients, draw and figure. labelled: how many patients that were.
# Where these were too few to fit, one row whose reason says so.
LEARNING_CURVE = contract(
    {"method": text(METHOD), "share": number(0, 1), "draw": whole(), "labelled": whole()}
    | {"unit": pa.Column(str, pa.Check.isin([VERTEBRAE, PATIENTS])), "figure": text(METHOD)}
    | {"value": number(nullable=True), "reason": text()},
    ["method", "share", "draw", "unit", "figure"],
)

# One row per group of compared vertebrae, method and figure. hits: how many of the n were called fractured.
COMPARED_GROUPS = contract(
    {"kind": text(METHOD), "group": text(), "method": text(METHOD), "figure": text(METHOD)}
    | {name: number(nullable=True) for name in ("value", "low", "high")}
    | {"n": whole(), "hits": number(0, nullable=True), "patients": whole()},
    ["kind", "group", "method", "figure"],
)

# One row per method and stage (training; of all scans what every method needs, and what is its own), summed over its
# jobs; memory is that of the largest.
METHOD_COST = contract(
    {"method": text(METHOD), "stage": text("^(training|shared|grading)$"), "rules": text(), "jobs": whole()}
    | {name: number(0) for name in ("cpu_s", "wall_s", "gpu_s", "peak_memory_mb")}
    | {"scans": whole()},
    ["method", "stage"],
)

# One row per method and reason for which labelled test vertebrae have no grade. alone: those that all others graded.
LEFT_OUT = contract(
    {"method": text(METHOD), "reason": text(), "vertebrae": whole(), "alone": whole()}, ["method", "reason"]
)
