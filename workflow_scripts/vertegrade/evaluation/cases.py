"""Cases: every labelled vertebra of the cohort with what a method predicted for it, or why there is no prediction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from vertegrade.tables import CROPS, KEY, LABELS, PATIENT_SPLITS, SCANS, empty_table, read_table, read_tables

PREDICTED = ["severity", "p_fracture", "grade", "severity_low", "severity_high", "evaluable", "reason"]
OF_PATIENT = {"patient_p_fracture": np.nan, "patient_fractured": -1}  # and what they are where nothing is said
NO_PREDICTION = "no_prediction"  # never localized, or outside the levels that are graded


class EvaluationError(ValueError):
    """Tables that cannot be evaluated together; the message names the rows."""


@dataclass(frozen=True)
class Cohort:
    """What predictions are compared with: LABELS, SCANS after localization, CROPS of all shards, PATIENT_SPLITS.

    subjects: sex and age band of scans by their id, where the sample sheet gives any.
    """

    labels: pd.DataFrame
    scans: pd.DataFrame
    crops: pd.DataFrame
    splits: pd.DataFrame
    subjects: Mapping[str, Sequence[str]] = field(default_factory=dict)


def read_cohort(files: Any) -> Cohort:
    """The cohort's tables, from a job's inputs `labels` (none: no row), `scans`, `crops` and `splits`."""
    return Cohort(
        read_table(files.labels, LABELS) if files.labels else empty_table(LABELS),
        read_tables(files.scans, SCANS),
        read_tables(files.crops, CROPS),
        read_table(files.splits, PATIENT_SPLITS),
    )


def labelled_cases(predictions: pd.DataFrame, cohort: Cohort) -> pd.DataFrame:
    """One row per vertebra with a usable label in a scan of the cohort, sorted by patient, scan and vertebra.

    Columns: patient_id, scan_id, vertebra, split, genant_grade (int), shape, height_loss, slice_thickness_mm, those of
    PREDICTED and those of OF_PATIENT.
    A vertebra without a prediction stays in, as not evaluable: its reason is the scan's, or `no_prediction`. Labels of
    scans outside the cohort are left out. Raises EvaluationError when predictions and splits disagree.
    """
    _check_splits(predictions, cohort.scans, cohort.splits)
    known = cohort.scans[["scan_id", "reason"]].rename(columns={"reason": "scan_reason"})
    columns = ["patient_id", *KEY, "genant_grade", "shape", "height_loss"]
    cases = cohort.labels.loc[cohort.labels["usable"], columns].merge(known, on="scan_id", how="inner")
    cases = cases.merge(cohort.splits[["patient_id", "split"]], on="patient_id", how="left", validate="many_to_one")
    if cases["split"].isna().any():
        missing = sorted(set(cases.loc[cases["split"].isna(), "patient_id"]))
        raise EvaluationError(
            f"patients of labels that have no split: {', '.join(missing[:10])}; correct patient_id in the labels"
        )
    cases = cases.merge(predictions[KEY + PREDICTED], on=KEY, how="left", validate="one_to_one")
    cases = cases.merge(cohort.crops[[*KEY, "slice_thickness_mm"]], on=KEY, how="left", validate="one_to_one")
    of_patients = predictions.drop_duplicates("patient_id").set_index("patient_id")
    for name, unknown in OF_PATIENT.items():
        said = of_patients[name] if name in of_patients else pd.Series(dtype=float)
        cases[name] = cases["patient_id"].map(said).astype(float).fillna(unknown)
    cases["evaluable"] = cases["evaluable"].eq(True)
    unsaid = cases["reason"].isna()
    cases.loc[unsaid, "reason"] = cases.loc[unsaid, "scan_reason"].replace("", NO_PREDICTION)
    cases["genant_grade"] = cases["genant_grade"].astype(np.int64)
    cases["grade"] = cases["grade"].fillna(-1).astype(np.int64)
    return cases.drop(columns="scan_reason").sort_values(["patient_id", *KEY], ignore_index=True)


def _check_splits(predictions: pd.DataFrame, scans: pd.DataFrame, splits: pd.DataFrame) -> None:
    """Refuse predictions of unknown scans, or with another split than the patient's: it would hide a leak."""
    strangers = sorted(set(predictions["scan_id"]) - set(scans["scan_id"]))
    if strangers:
        raise EvaluationError(f"predictions of scans that are not in the cohort: {', '.join(strangers[:10])}")
    both = predictions[["patient_id", "split"]].merge(splits, on="patient_id", how="left", suffixes=("", "_assigned"))
    wrong = sorted(set(both.loc[both["split"] != both["split_assigned"], "patient_id"]))
    if wrong:
        raise EvaluationError(
            f"predictions with another split than the split table: {', '.join(wrong[:10])}; rerun grade"
        )


def check_method(predictions: pd.DataFrame, method: str) -> None:
    """EvaluationError where a predictions table is of another method; an empty one is of none."""
    others = sorted(set(predictions["method"]) - {method})
    if others:
        raise EvaluationError(f"predictions of {', '.join(others)} where those of {method} belong; rerun grade")


def split_cases(cases: pd.DataFrame, split: str) -> pd.DataFrame:
    """The cases of one split."""
    return cases[cases["split"] == split].reset_index(drop=True)


def patient_codes(cases: pd.DataFrame) -> np.ndarray:
    """Each case's patient as a number, in the order of the patients' ids."""
    return np.unique(cases["patient_id"].to_numpy(dtype=str), return_inverse=True)[1].astype(np.int64)


def patient_cases(cases: pd.DataFrame, fracture_grade: int) -> pd.DataFrame:
    """One row per patient: `fractured` (any labelled vertebra >= fracture_grade, evaluable or not), `severity` and
    `grade` (largest over the evaluable labelled vertebrae; NaN and -1 if there is none), `evaluable`, `p_fracture` and
    `called` by the rule for patients. Where the predictions do not say, p_fracture is NaN, and the grade calls.
    """
    table = pd.DataFrame(
        {
            "patient_id": cases["patient_id"],
            "fractured": cases["genant_grade"] >= fracture_grade,
            "severity": cases["severity"].where(cases["evaluable"]),
            "grade": cases["grade"].where(cases["evaluable"], -1),
            "evaluable": cases["evaluable"],
            "p_fracture": cases["patient_p_fracture"],
            "said": cases["patient_fractured"],
        }
    )
    patients = table.groupby("patient_id", sort=True, as_index=False).max()
    called = patients["said"].eq(1).where(patients["said"] >= 0, patients["grade"] >= fracture_grade)
    return patients.assign(called=called.astype(bool)).drop(columns="said")
