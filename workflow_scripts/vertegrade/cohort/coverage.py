"""Which vertebrae are labelled, which are not, and which labels have no vertebra."""

from collections.abc import Hashable
from typing import Any

import pandas as pd

from vertegrade.cohort.splits import split_of
from vertegrade.tables import PATIENT_KEY


def label_coverage(crops: pd.DataFrame, labels: pd.DataFrame, splits: pd.DataFrame) -> pd.DataFrame:
    """One row per vertebra that has a crop or a label, sorted: patient_id, scan_id, vertebra, split, state, reason.

    crops: any table of vertebrae with `evaluable` and `reason` (CROPS, LATENTS, LANDMARKS). labels: LABELS.
    state: `labelled` (crop and usable grade), `excluded` (crop, label not usable: the label's reason),
    `not_evaluable` (usable grade, crop not evaluable: the crop's reason), `unlabelled` (crop without a label),
    `no_scan` / `no_vertebra` (label whose scan / vertebra was not found). Labels of patients that are in no split
    (a label table may be larger than the cohort) are left out.
    """
    known = set(splits["patient_id"])
    table = crops[[*PATIENT_KEY, "evaluable", "reason"]].merge(
        labels.loc[labels["patient_id"].isin(known), [*PATIENT_KEY, "usable", "reason"]],
        on=PATIENT_KEY,
        how="outer",
        suffixes=("_crop", "_label"),
        indicator="found",
        validate="one_to_one",
    )
    scans = set(crops["scan_id"])
    states = [_state(row, row["scan_id"] in scans) for row in table.to_dict("records")]
    table[["state", "reason"]] = pd.DataFrame(states, columns=["state", "reason"], index=table.index)
    table["split"] = split_of(splits, table["patient_id"])
    return table.sort_values(PATIENT_KEY, ignore_index=True)[[*PATIENT_KEY, "split", "state", "reason"]]


def _state(row: dict[Hashable, Any], scan_found: bool) -> tuple[str, str]:
    """State and reason of one row of the outer join."""
    if row["found"] == "left_only":
        return "unlabelled", ""
    if row["found"] == "right_only":
        return ("no_vertebra" if scan_found else "no_scan"), ""
    if not row["usable"]:
        return "excluded", str(row["reason_label"])
    return ("labelled", "") if row["evaluable"] else ("not_evaluable", str(row["reason_crop"]))
