"""Tables of a synthetic cohort: patients with true grades, and two methods that see them with more or less noise."""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pandas as pd
from scipy.special import expit

from vertegrade.evaluation import cases
from vertegrade.tables import (
    CROPS,
    LABELS,
    LANDMARKS,
    PATIENT_SPLITS,
    POINT_COLUMNS,
    PREDICTIONS,
    SCAN_SCORES,
    SCANS,
    check_table,
)

LOSS_OF_GRADE = [(0.0, 0.15), (0.20, 0.25), (0.25, 0.40), (0.40, 0.60)]
LEVELS = range(11, 25)  # T4-L5


@dataclass(frozen=True)
class Cohort:
    """All tables that evaluation and report read; `dae` and `pca` are the predictions of two methods."""

    sheet: list[tuple[str, str]]
    scans: pd.DataFrame
    landmarks: pd.DataFrame
    crops: pd.DataFrame
    labels: pd.DataFrame
    splits: pd.DataFrame
    dae: pd.DataFrame
    pca: pd.DataFrame

    def tables(self, **changes: pd.DataFrame) -> cases.Cohort:
        """Those that predictions are held against."""
        return replace(cases.Cohort(self.labels, self.scans, self.crops, self.splits), **changes)


@cache  # thirty test files want the same few, and read them only
def make_cohort(patients: int = 40, seed: int = 0, noise: tuple[float, float] = (0.25, 0.5)) -> Cohort:
    """A cohort of one scan a patient: one scan failed, one excluded, some vertebrae not croppable or not labelled."""
    rng = np.random.default_rng(seed)
    names = [f"P{number:03d}" for number in range(patients)]
    scans = pd.DataFrame([_scan(number, name, rng) for number, name in enumerate(names)])
    splits = pd.DataFrame(
        {
            "patient_id": names,
            "split": [("train", "test", "validation", "train", "test")[number % 5] for number in range(patients)],
            "origin": "hash",
        }
    )
    truth = _truth(scans, rng)
    found = truth[truth["scan_id"].isin(scans.loc[scans["state"] == "done", "scan_id"])].reset_index(drop=True)
    crops = _crops(found, scans)
    split_of = dict(zip(splits["patient_id"], splits["split"], strict=True))
    methods = [
        _predictions(crops, found, split_of, name, spread, rng)
        for name, spread in zip(("dae", "pca"), noise, strict=True)
    ]
    return Cohort(
        sheet=list(zip(scans["scan_id"], scans["patient_id"], strict=True)),
        scans=check_table(scans, SCANS, "scans"),
        landmarks=_landmarks(found),
        crops=crops,
        labels=_labels(truth),
        splits=check_table(splits, PATIENT_SPLITS, "splits"),
        dae=methods[0],
        pca=methods[1],
    )


def _scan(number: int, name: str, rng: np.random.Generator) -> dict[str, object]:
    state, reason = {1: ("failed", "bad_pixels"), 7: ("excluded", "uneven_spacing")}.get(number, ("done", ""))
    return {
        "patient_id": name,
        "scan_id": f"{name}-1",
        "state": state,
        "reason": reason,
        "message": "",
        "slices": 300.0,
        "slice_spacing_mm": 1.0,
        "slice_thickness_mm": float(rng.choice([0.8, 1.5, 2.5, 5.0])) if number != 3 else np.nan,
        "pixel_mm": 0.8,
        "manufacturer": "Phantom",
        "kernel": "B",
        "image_sha256": f"{number:064x}",
        "warnings": "",
        "flags": "",
    }


def _truth(scans: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for scan in scans.itertuples():
        frail = rng.random() < 0.6
        for vertebra in LEVELS:
            grade = int(rng.choice(4, p=[0.65, 0.13, 0.13, 0.09])) if frail else 0
            loss = rng.uniform(*LOSS_OF_GRADE[grade])
            rows.append((scan.patient_id, scan.scan_id, vertebra, grade, loss))
    return pd.DataFrame(rows, columns=["patient_id", "scan_id", "vertebra", "genant_grade", "height_loss"])


def _labels(truth: pd.DataFrame) -> pd.DataFrame:
    labels = truth.copy()
    fractured = labels["genant_grade"] > 0
    labels["shape"] = np.where(fractured, np.array(["wedge", "biconcave", "crush"])[labels.index % 3], "")
    labels["usable"] = labels.index % 29 != 4
    labels["reason"] = labels["usable"].map({True: "", False: "excluded_by_reader"})
    labels.loc[~labels["usable"], "genant_grade"] = np.nan
    labels = labels[["patient_id", "scan_id", "vertebra", "genant_grade", "shape", "height_loss", "usable", "reason"]]
    return check_table(labels[labels["scan_id"] != "P009-1"], LABELS, "labels")


def _landmarks(found: pd.DataFrame) -> pd.DataFrame:
    table = found[["patient_id", "scan_id", "vertebra"]].copy()
    for axis in "xyz":
        table[f"centre_{axis}_mm"] = 0.0
    table[POINT_COLUMNS] = np.nan
    table["confidence"], table["source"], table["evaluable"], table["reason"] = 1.0, "truth", True, ""
    return check_table(table, LANDMARKS, "landmarks")


def _crops(found: pd.DataFrame, scans: pd.DataFrame) -> pd.DataFrame:
    table = found[["patient_id", "scan_id", "vertebra"]].copy()
    table["crop"] = np.arange(len(table))
    outside = (table["crop"] % 37 == 5) | (table["patient_id"] == "P004")
    table["inside_fraction"] = np.where(outside, 0.5, 1.0)
    table["slice_thickness_mm"] = table["scan_id"].map(scans.set_index("scan_id")["slice_thickness_mm"])
    table["evaluable"] = ~outside
    table["reason"] = np.where(outside, "outside_scan", "")
    return check_table(table, CROPS, "crops")


def _predictions(
    crops: pd.DataFrame,
    found: pd.DataFrame,
    split_of: dict[str, str],
    method: str,
    noise: float,
    rng: np.random.Generator,
) -> pd.DataFrame:
    loss = found["height_loss"].to_numpy() + rng.normal(0, noise * 0.2, len(found))
    severity = np.clip(np.interp(loss, [0.0, 0.14, 0.225, 0.325, 0.5], [0.0, 0.1, 1.0, 2.0, 3.0]), 0, 3)
    p = expit(6 * (severity - 0.6) / (0.5 + noise))
    table = crops[["patient_id", "scan_id", "vertebra"]].copy()
    table["method"] = method
    table["split"] = table["patient_id"].map(split_of)
    table["signed_distance"] = severity - 0.5
    table["severity"], table["p_fracture"] = severity, p
    for grade in range(4):
        table[f"p_grade_{grade}"] = 0.25
    table["grade"] = np.rint(severity).astype(int)
    table["severity_low"] = np.clip(severity - 1.2 * noise - 0.3, 0, 3)
    table["severity_high"] = np.clip(severity + 1.2 * noise + 0.3, 0, 3)
    table["novelty"] = np.arange(len(table)) / len(table)
    table["evaluable"], table["reason"] = crops["evaluable"], crops["reason"]
    numbers = ["signed_distance", "severity", "p_fracture", "severity_low", "severity_high", "novelty"]
    numbers += [f"p_grade_{grade}" for grade in range(4)]
    table.loc[~table["evaluable"], numbers] = np.nan
    table.loc[~table["evaluable"], "grade"] = -1
    return check_table(table, PREDICTIONS, method)


def scan_scores(cohort: Cohort, noise: float = 1.5) -> pd.DataFrame:
    """SCAN_SCORES of the scans that are done: a network that knows nothing, and all together by the worst grade."""
    rng = np.random.default_rng(0)
    done = cohort.scans.loc[cohort.scans["state"] == "done", ["patient_id", "scan_id"]]
    worst = done["scan_id"].map(cohort.labels.groupby("scan_id")["genant_grade"].max()).fillna(0)
    p = {"recurrent-0": rng.random(len(done)), "ensemble": expit(worst - 1.5 + rng.normal(0, noise, len(done)))}
    tables = [
        done.assign(network=name, p_fracture=of, p_worst_patch=1 - of, evaluable=True, reason="")
        for name, of in p.items()
    ]
    return check_table(pd.concat(tables, ignore_index=True), SCAN_SCORES, "scores of scans")


def unread(scores: pd.DataFrame, patient: str) -> pd.DataFrame:
    """The same where no scan of a patient could be read."""
    lost = scores["patient_id"] == patient
    nothing = {"p_fracture": np.nan, "p_worst_patch": np.nan, "evaluable": False, "reason": "no_canal"}
    return scores.assign(**{name: scores[name].mask(lost, value) for name, value in nothing.items()})
