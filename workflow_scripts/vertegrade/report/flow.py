"""Cohort flow: every scan and vertebra from the sample sheet to the evaluated grade, with what was left out and why."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from vertegrade.tables import SPLITS

KEY = ["scan_id", "vertebra"]
UNLABELLED = "unlabelled"


class FlowError(ValueError):
    """Numbers that do not reconcile: a scan or vertebra was lost, doubled or left without a reason."""


def cohort_flow(
    sheet: Sequence[str],
    scans: pd.DataFrame,
    landmarks: pd.DataFrame,
    crops: pd.DataFrame,
    labels: pd.DataFrame,
    predictions: pd.DataFrame,
    splits: pd.DataFrame,
) -> dict[str, Any]:
    """Counts of the flow, in all and by split, and the scans that were left out.

    sheet: scan ids of the sample sheet. Tables as in `vertegrade.tables`; predictions of one method. Returns
    `all` and `splits.<split>`, each `{patients, scans: {in_sheet, done, excluded, failed}, vertebrae: {found,
    not_cropped, cropped, not_graded, graded, not_labelled, evaluated}}`, where the left-out parts are counts by reason,
    and `exclusions`, one dict a scan. Raises FlowError, naming the rows, when anything does not add up.
    """
    split_of = splits.set_index("patient_id")["split"]
    _check(sheet, scans, landmarks, crops, predictions, split_of)
    vertebrae = _vertebrae(landmarks, crops, labels, predictions)
    scan_split, vertebra_split = (table["patient_id"].map(split_of) for table in (scans, vertebrae))
    flow = {
        "all": _counts(scans, vertebrae),
        "splits": {s: _counts(scans[scan_split == s], vertebrae[vertebra_split == s]) for s in SPLITS},
        "exclusions": _exclusions(scans, scan_split),
    }
    _check_sums(flow)
    return flow


def _check(
    sheet: Sequence[str],
    scans: pd.DataFrame,
    landmarks: pd.DataFrame,
    crops: pd.DataFrame,
    predictions: pd.DataFrame,
    split_of: "pd.Series[str]",
) -> None:
    done = set(scans.loc[scans["state"] == "done", "scan_id"])
    found, cropped, predicted = (set(_keys(table)) for table in (landmarks, crops, predictions))
    silent = crops[~crops["evaluable"] & (crops["reason"] == "")]
    uncropped = landmarks[[key not in cropped for key in _keys(landmarks)]]
    problems = {
        "scans of the sheet without a state": set(sheet) - set(scans["scan_id"]),
        "scans that are not in the sheet": set(scans["scan_id"]) - set(sheet),
        "scans left out without a reason": set(
            scans.loc[(scans["state"] != "done") & (scans["reason"] == ""), "scan_id"]
        ),
        "scans with vertebrae that are not done": set(landmarks["scan_id"]) - done,
        "patients without a split": set(scans["patient_id"]) - set(split_of.index),
        "crops of vertebrae that were not found": cropped - found,
        "vertebrae without a crop and without a reason": set(_keys(uncropped[uncropped["reason"] == ""])),
        "crops left out without a reason": set(_keys(silent)),
        "crops without a prediction": cropped - predicted,
        "predictions without a crop": predicted - cropped,
        "graded vertebrae whose crop was left out": _graded_but_left_out(crops, predictions),
        "vertebrae left ungraded without a reason": set(
            _keys(predictions[~predictions["evaluable"] & (predictions["reason"] == "")])
        ),
    }
    _raise([f"{what}: {', '.join(map(str, sorted(who)[:5]))} ({len(who)})" for what, who in problems.items() if who])


def _graded_but_left_out(crops: pd.DataFrame, predictions: pd.DataFrame) -> set[tuple[str, int]]:
    graded = set(_keys(predictions[predictions["evaluable"]]))
    return graded & set(_keys(crops[~crops["evaluable"]]))


def _keys(table: pd.DataFrame) -> list[tuple[str, int]]:
    return list(zip(table["scan_id"], table["vertebra"].astype(int), strict=True))


def _raise(problems: list[str]) -> None:
    if problems:
        raise FlowError("the cohort's numbers do not reconcile:\n" + "\n".join(problems))


def _vertebrae(
    landmarks: pd.DataFrame, crops: pd.DataFrame, labels: pd.DataFrame, predictions: pd.DataFrame
) -> pd.DataFrame:
    """One row a vertebra found, with why it was not cropped, not graded or not labelled ("" where it was)."""
    table = landmarks[["patient_id", *KEY, "reason"]].rename(columns={"reason": "landmark_reason"})
    for name, other in (("crop", crops), ("grade", predictions)):
        other = other[[*KEY, "evaluable", "reason"]].rename(
            columns={"evaluable": f"has_{name}", "reason": f"{name}_reason"}
        )
        table = table.merge(other, on=KEY, how="left", validate="one_to_one")
    label = labels[[*KEY, "usable", "reason"]].rename(columns={"reason": "label_reason"})
    table = table.merge(label, on=KEY, how="left", validate="one_to_one")
    crop_reason = table["crop_reason"].fillna(table["landmark_reason"])
    label_reason = table["label_reason"].fillna(UNLABELLED)
    return pd.DataFrame(
        {
            "patient_id": table["patient_id"],
            "not_cropped": crop_reason.where(~table["has_crop"].eq(True), ""),
            "not_graded": table["grade_reason"].where(~table["has_grade"].eq(True), ""),
            "not_labelled": label_reason.where(~table["usable"].eq(True), ""),
        }
    )


def _counts(scans: pd.DataFrame, vertebrae: pd.DataFrame) -> dict[str, Any]:
    cropped = vertebrae[vertebrae["not_cropped"] == ""]
    graded = cropped[cropped["not_graded"] == ""]
    return {
        "patients": int(scans["patient_id"].nunique()),
        "scans": {
            "in_sheet": len(scans),
            "excluded": _by_reason(scans.loc[scans["state"] == "excluded", "reason"]),
            "failed": _by_reason(scans.loc[scans["state"] == "failed", "reason"]),
            "done": int((scans["state"] == "done").sum()),
        },
        "vertebrae": {
            "found": len(vertebrae),
            "not_cropped": _by_reason(vertebrae["not_cropped"]),
            "cropped": len(cropped),
            "not_graded": _by_reason(cropped["not_graded"]),
            "graded": len(graded),
            "not_labelled": _by_reason(graded["not_labelled"]),
            "evaluated": int((graded["not_labelled"] == "").sum()),
        },
    }


def _by_reason(reasons: "pd.Series[str]") -> dict[str, int]:
    counts = reasons[reasons != ""].value_counts()
    return {str(reason): int(counts[reason]) for reason in sorted(counts.index)}


def _exclusions(scans: pd.DataFrame, split: "pd.Series[str]") -> list[dict[str, str]]:
    table = scans[["scan_id", "state", "reason", "message"]].assign(split=split)[scans["state"] != "done"]
    return [{str(k): str(v) for k, v in row.items()} for row in table.sort_values("scan_id").to_dict("records")]


def _check_sums(flow: dict[str, Any]) -> None:
    """Each step is the one before less what was left out, and the splits add up to the whole."""
    problems = []
    for name, block in [("all", flow["all"]), *flow["splits"].items()]:
        scans, bones = block["scans"], block["vertebrae"]
        steps = [
            ("scans", scans["in_sheet"], [scans["excluded"], scans["failed"]], scans["done"]),
            ("cropped", bones["found"], [bones["not_cropped"]], bones["cropped"]),
            ("graded", bones["cropped"], [bones["not_graded"]], bones["graded"]),
            ("evaluated", bones["graded"], [bones["not_labelled"]], bones["evaluated"]),
        ]
        for step, before, left_out, after in steps:
            lost = sum(sum(part.values()) for part in left_out)
            if before - lost != after:
                problems.append(f"{name}, {step}: {before} less {lost} left out is not {after}")
    for kind, step in (("scans", "in_sheet"), ("vertebrae", "found"), ("vertebrae", "evaluated")):
        parts = [block[kind][step] for block in flow["splits"].values()]
        if sum(parts) != flow["all"][kind][step]:
            problems.append(f"{kind} {step}: the splits' {parts} do not add up to {flow['all'][kind][step]}")
    _raise(problems)
