"""Cohort flow: every file, scan and vertebra from the folder to the evaluated grade, with what was left out and why."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from vertegrade.evaluation.cases import Cohort
from vertegrade.reasons import REASONS
from vertegrade.tables import KEY, SPLITS, UNLIKE_TRAINING, doubt_of
from vertegrade.vertebra_reasons import VERTEBRA_REASONS

UNLABELLED = "unlabelled"


class FlowError(ValueError):
    """Numbers that do not reconcile: a scan or vertebra was lost, doubled or left without a reason."""


def cohort_flow(
    sheet: Sequence[str],
    converted: pd.DataFrame,
    landmarks: pd.DataFrame,
    cohort: Cohort,
    predictions: pd.DataFrame,
    index: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Counts of the flow, in all and by split, and the scans that were left out.

    sheet: scan ids of the sample sheet. converted: the scans' states (SCANS) after conversion. landmarks: LANDMARKS.
    predictions: PREDICTIONS of one method, or GRADE_TABLE. index: what `make index` found.

    Returns a dict of
    - `all` and `splits.<split>`: `{patients, scans: {in_sheet, not_converted, converted, not_localized, localized},
      vertebrae: {found, not_cropped, cropped, not_graded, graded, not_labelled, evaluated}}`; `not_`: by reason
    - `exclusions`: one dict `{scan_id, state, reason, split}` per scan, and no message of it
    - `flags`: one dict `{flag, scans, vertebrae}` per flag: the localized scans that have it, and the vertebrae that
      are graded or withheld
    - `index` (None without an index): `{files: {found, left_out, ct}, images: {found, left_out, scans},
      sheet: {removed, added}}`, the last what a person changed

    Raises FlowError, naming the rows, when anything does not add up.
    """
    scans, crops = cohort.scans, cohort.crops
    split_of = cohort.splits.set_index("patient_id")["split"]
    _check(sheet, converted, scans, landmarks, crops, predictions, split_of)
    scans = scans.assign(converted=scans["scan_id"].isin(_done(converted)))
    vertebrae = _vertebrae(landmarks, crops, cohort.labels, predictions)
    scan_split, vertebra_split = (table["patient_id"].map(split_of) for table in (scans, vertebrae))
    flow = {
        "all": _counts(scans, vertebrae),
        "splits": {s: _counts(scans[scan_split == s], vertebrae[vertebra_split == s]) for s in SPLITS},
        "exclusions": _exclusions(scans, scan_split),
        "index": _index(index, set(sheet)) if index else None,
        "flags": _flags(scans, predictions),
    }
    _check_sums(flow)
    return flow


def _done(scans: pd.DataFrame) -> set[str]:
    return set(scans.loc[scans["state"] == "done", "scan_id"])


def _index(index: dict[str, Any], sheet: set[str]) -> dict[str, Any]:
    """Counts of the index, and how the sheet differs from what it wrote."""
    written = set(index["scans"])
    changed = {"removed": len(written - sheet), "added": len(sheet - written)}
    return {"files": index["files"], "images": index["images"], "sheet": changed}


def _check(
    sheet: Sequence[str],
    converted: pd.DataFrame,
    scans: pd.DataFrame,
    landmarks: pd.DataFrame,
    crops: pd.DataFrame,
    predictions: pd.DataFrame,
    split_of: "pd.Series[str]",
) -> None:
    done = _done(scans)
    found, cropped, predicted = (set(_keys(table)) for table in (landmarks, crops, predictions))
    silent = crops[~crops["evaluable"] & ~crops["reason"].isin(VERTEBRA_REASONS)]
    # An array: a list without an element would choose columns, none.
    uncropped = landmarks[np.array([key not in cropped for key in _keys(landmarks)], dtype=bool)]
    problems = {
        "scans of the sheet without a state": set(sheet) - set(scans["scan_id"]),
        "scans that are not in the sheet": set(scans["scan_id"]) - set(sheet),
        "scans whose states after conversion and localization differ": _changed_back(converted, scans),
        "scans left out without a known reason": set(
            scans.loc[(scans["state"] != "done") & ~scans["reason"].isin(REASONS), "scan_id"]
        ),
        "scans with vertebrae that are not done": set(landmarks["scan_id"]) - done,
        "patients without a split": set(scans["patient_id"]) - set(split_of.index),
        "crops of vertebrae that were not found": cropped - found,
        "vertebrae without a crop and without a known reason": set(
            _keys(uncropped[~uncropped["reason"].isin(VERTEBRA_REASONS)])
        ),
        "crops left out without a known reason": set(_keys(silent)),
        "crops without a prediction": cropped - predicted,
        "predictions without a crop": predicted - cropped,
        "graded vertebrae whose crop was left out": _graded_but_left_out(crops, predictions),
        "vertebrae left ungraded without a known reason": set(
            _keys(predictions[~predictions["evaluable"] & ~predictions["reason"].isin(VERTEBRA_REASONS)])
        ),
    }
    _raise([f"{what}: {', '.join(map(str, sorted(who)[:5]))} ({len(who)})" for what, who in problems.items() if who])


def _changed_back(converted: pd.DataFrame, scans: pd.DataFrame) -> set[str]:
    """Scans that conversion left out and localization did not, or with another reason, or that one of them lost."""
    left_out = converted.loc[converted["state"] != "done", ["scan_id", "state", "reason"]]
    after = scans[["scan_id", "state", "reason"]]
    agreeing = left_out.merge(after, on=["scan_id", "state", "reason"])
    return (set(left_out["scan_id"]) - set(agreeing["scan_id"])) | (set(converted["scan_id"]) ^ set(scans["scan_id"]))


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
    """One row per vertebra found, with why it was not cropped, not graded or not labelled ("" where it was)."""
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
    reasons = (scans["reason"] + " (" + scans["state"] + ")").where(scans["state"] != "done", "")
    return {
        "patients": int(scans["patient_id"].nunique()),
        "scans": {
            "in_sheet": len(scans),
            "not_converted": _by_reason(reasons[~scans["converted"]]),
            "converted": int(scans["converted"].sum()),
            "not_localized": _by_reason(reasons[scans["converted"]]),
            "localized": int((scans["state"] == "done").sum()),
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
    # Without their messages: these name files, and a folder may be named after a patient.
    table = scans[["scan_id", "state", "reason"]].assign(split=split)[scans["state"] != "done"]
    return [{str(k): str(v) for k, v in row.items()} for row in table.sort_values("scan_id").to_dict("records")]


def _flags(scans: pd.DataFrame, predictions: pd.DataFrame) -> list[dict[str, str | int]]:
    """How many localized scans, and vertebrae that are graded or withheld, have each flag; the most frequent first.

    A scan has its own flags, and those of these vertebrae.
    """
    known = _flagged(predictions[predictions["evaluable"] | (predictions["reason"] == UNLIKE_TRAINING)])
    of_scan = pd.concat([_flagged(scans[scans["state"] == "done"]), known])[["scan_id", "flag"]].drop_duplicates()
    counts = of_scan["flag"].value_counts()
    vertebrae = known["flag"].value_counts().reindex(counts.index, fill_value=0)
    rows: list[dict[str, str | int]] = [
        {"flag": str(flag), "scans": int(counts[flag]), "vertebrae": int(vertebrae[flag])} for flag in counts.index
    ]
    return sorted(rows, key=lambda row: (-int(row["scans"]), row["flag"]))


def _flagged(table: pd.DataFrame) -> pd.DataFrame:
    """A row for each flag of each row, in the column `flag`."""
    return table.assign(flag=doubt_of(table)["flags"].str.split()).explode("flag").dropna(subset="flag")


def _check_sums(flow: dict[str, Any]) -> None:
    """Each step is the one before less what was left out, and the splits add up to the whole."""
    problems = []
    for name, block in [("all", flow["all"]), *flow["splits"].items()]:
        scans, bones = block["scans"], block["vertebrae"]
        steps = [
            ("converted", scans["in_sheet"], scans["not_converted"], scans["converted"]),
            ("localized", scans["converted"], scans["not_localized"], scans["localized"]),
            ("cropped", bones["found"], bones["not_cropped"], bones["cropped"]),
            ("graded", bones["cropped"], bones["not_graded"], bones["graded"]),
            ("evaluated", bones["graded"], bones["not_labelled"], bones["evaluated"]),
        ]
        if name == "all" and flow["index"]:
            files, images, sheet = (flow["index"][key] for key in ("files", "images", "sheet"))
            steps += [
                ("CT images", files["found"], files["left_out"], files["ct"]),
                ("scans indexed", images["found"], images["left_out"], images["scans"]),
                ("sheet", images["scans"] + sheet["added"], {"removed": sheet["removed"]}, scans["in_sheet"]),
            ]
        for step, before, left_out, after in steps:
            lost = sum(left_out.values())
            if before - lost != after:
                problems.append(f"{name}, {step}: {before} less {lost} left out is not {after}")
    for kind, step in (("scans", "in_sheet"), ("vertebrae", "found"), ("vertebrae", "evaluated")):
        parts = [block[kind][step] for block in flow["splits"].values()]
        if sum(parts) != flow["all"][kind][step]:
            problems.append(f"{kind} {step}: the splits' {parts} do not add up to {flow['all'][kind][step]}")
    _raise(problems)


def flow_steps(flow: dict[str, Any]) -> list[dict[str, Any]]:
    """The boxes of the flow diagram, top to bottom: name, count, and what was left out before it, `lost` by reason."""
    scans, bones = flow["all"]["scans"], flow["all"]["vertebrae"]
    steps: list[tuple[str, int, dict[str, int]]] = []
    if flow["index"]:
        files, images, sheet = (flow["index"][key] for key in ("files", "images", "sheet"))
        removed = {"rows removed by hand": sheet["removed"]} if sheet["removed"] else {}
        added = f" ({sheet['added']} added by hand)" if sheet["added"] else ""
        steps += [
            ("Files found", files["found"], {}),
            ("Files of CT images", files["ct"], files["left_out"]),
            ("CT series and volumes in them", images["found"], {}),
            ("Scans indexed", images["scans"], images["left_out"]),
            (f"Scans in the sample sheet{added}", scans["in_sheet"], removed),
        ]
    else:
        steps += [("Scans in the sample sheet", scans["in_sheet"], {})]
    steps += [
        ("Scans converted", scans["converted"], scans["not_converted"]),
        ("Scans localized", scans["localized"], scans["not_localized"]),
        ("Vertebrae found in them", bones["found"], {}),
        ("Vertebrae with a usable crop", bones["cropped"], bones["not_cropped"]),
        ("Vertebrae graded", bones["graded"], bones["not_graded"]),
        ("Graded and labelled", bones["evaluated"], bones["not_labelled"]),
    ]
    return [
        {"name": name, "count": count, "lost": sorted(lost.items()), "lost_sum": sum(lost.values())}
        for name, count, lost in steps
    ]


def flow_table(flow: dict[str, Any]) -> pd.DataFrame:
    """The steps as a table: step, reason ("" for the count itself), count; what is left out comes before its step."""
    rows = []
    for step in flow_steps(flow):
        rows += [(step["name"], reason, -n) for reason, n in step["lost"]]
        rows.append((step["name"], "", step["count"]))
    return pd.DataFrame(rows, columns=["step", "left_out", "count"])
