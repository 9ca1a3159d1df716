"""Tables of what changed between scans: columns, types and units, checked when written and when read."""

import pandera.pandas as pa

from vertegrade.columns import IDENTIFIER, contract, number, text, whole
from vertegrade.tables import GRADES, HEIGHTS

# One row per vertebra and pair of scans of one patient. `before`, `after`: the earlier and the later scan, whose names
# of the vertebra may differ. Losses and changes are fractions of the earlier height. Numbers are NaN and grades -1
# where unknown. Errors are standard deviations, but for the interval of the severity. At the end stands
# what is doubtful of the vertebra in either scan (tables.py).
_PAIR = {name: text(IDENTIFIER) for name in ("patient_id", "scan_before", "scan_after")}
_PAIR |= {name: number(0) for name in ("months_before", "months_after")}
_CHANGE = {
    "match_probability": number(0, 1),
    "verdict": text("^(new|progressed|stable|unclear)$"),
    **{name: text() for name in ("reason", "shape", "column")},
    "further_loss": number(None, 1, nullable=True),
    "further_loss_error": number(0, nullable=True),
    "p_further_loss": number(0, 1, nullable=True),
    **{f"height_{column}_{of}_mm": number(0, nullable=True) for column in HEIGHTS for of in ("before", "after")},
    **{f"change_{column}_mm": number(nullable=True) for column in HEIGHTS},
    **{f"change_{column}_error_mm": number(0, nullable=True) for column in HEIGHTS},
    **{f"change_{column}": number(-1, nullable=True) for column in HEIGHTS},
    **{f"change_{column}_error": number(0, nullable=True) for column in HEIGHTS},
    **{f"severity_{of}": number(0, 3, nullable=True) for of in ("before", "after")},
    **{f"severity_change{end}": number(nullable=True) for end in ("", "_low", "_high")},
}
_DOUBT = {f"label_confidence_{of}": number(0, 1, nullable=True) for of in ("before", "after")}
_DOUBT |= {f"flags_{of}": text() for of in ("before", "after")}
FOLLOW_UP = contract(
    _PAIR
    | {f"vertebra_{of}": whole([*range(1, 26), 28]) for of in ("before", "after")}
    | _CHANGE
    | {f"grade_{of}": whole([-1, *GRADES]) for of in ("before", "after")}
    | _DOUBT,
    ["scan_before", "scan_after", "vertebra_after"],
)

# One row per pair of scans that was compared. shift: what to add to the later scan's levels for the earlier one's.
FOLLOW_UP_SCANS = contract(
    _PAIR
    | {"reason": text(), "shift": whole([-2, -1, 0, 1, 2]), "match_probability": number(0, 1, nullable=True)}
    | {name: whole() for name in ("compared", "new", "progressed", "stable", "unclear")},
    ["scan_before", "scan_after"],
)

# FOLLOW_UP for people: CSV, with the names of levels. Cells of what is unknown are empty.
FOLLOW_UP_TABLE = contract(
    {"research_use_only": text(), **_PAIR, "level_before": text(), "level_after": text()}
    | _CHANGE
    | {f"grade_{of}": pa.Column("Int64", pa.Check.isin(GRADES), nullable=True) for of in ("before", "after")}
    | _DOUBT,
    ["scan_before", "scan_after", "level_after"],
)
