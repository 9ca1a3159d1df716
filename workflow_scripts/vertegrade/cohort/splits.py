"""Which patient belongs to which split: given, or by a stable hash of the patient's id."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vertegrade.cohort.hashed_split import hashed_split
from vertegrade.settings.cohort import SplitSettings
from vertegrade.tables import PATIENT_SPLITS, SPLITS, check_table


class LeakageError(ValueError):
    """A patient or an image would be seen in two splits; the run must stop."""


def merge_given_splits(
    patients: Iterable[str], from_sheet: Mapping[str, str], from_labels: Mapping[str, str]
) -> dict[str, str]:
    """Patient -> given split ("" where none) of these patients; the sheet and the labels must agree."""
    clashes = sorted(
        f"{patient} ({from_sheet[patient]} in the sheet, {from_labels[patient]} in the labels)"
        for patient in from_sheet.keys() & from_labels.keys()
        if from_sheet[patient] != from_labels[patient]
    )
    if clashes:
        raise LeakageError(f"two different splits are given for {', '.join(clashes)}; keep one of them")
    given = {**from_labels, **from_sheet}
    return {patient: given.get(patient, "") for patient in sorted(set(patients))}


def assign_splits(given: Mapping[str, str], settings: SplitSettings) -> pd.DataFrame:
    """One row per patient (PATIENT_SPLITS, sorted): the given split where there is one, else the patient's hash.

    given: patient_id -> train, validation, test or "". Adding or removing patients never moves another one.
    """
    unknown = sorted({split for split in given.values() if split and split not in SPLITS})
    if unknown:
        raise ValueError(f"unknown splits {', '.join(unknown)}; known: {', '.join(SPLITS)}")
    patients = sorted(given)
    table = pd.DataFrame(
        {
            "patient_id": patients,
            "split": [given[patient] or hashed_split(patient, settings) for patient in patients],
            "origin": ["given" if given[patient] else "hash" for patient in patients],
        }
    )
    return check_table(table, PATIENT_SPLITS, "patient splits")


def split_map(splits: pd.DataFrame) -> dict[str, str]:
    """Patient -> split; LeakageError where a patient is in two. Every consumer of splits comes through here."""
    pairs = splits[["patient_id", "split"]].drop_duplicates()
    twice = sorted(pairs.loc[pairs["patient_id"].duplicated(keep=False), "patient_id"].unique())
    if twice:
        raise LeakageError(
            f"patients in two splits: {_some(twice)}; one patient belongs to one split, "
            "correct the split column of the sample sheet or of the labels"
        )
    return dict(zip(pairs["patient_id"], pairs["split"], strict=True))


def split_of(splits: pd.DataFrame, patient_ids: Iterable[str]) -> list[str]:
    """Split of each patient, in order; LeakageError for a patient in two splits, ValueError for an unknown one."""
    known = split_map(splits)
    patient_ids = list(patient_ids)
    unknown = sorted({patient for patient in patient_ids if patient not in known})
    if unknown:
        raise ValueError(f"patients without a split: {_some(unknown)}; was the split made from the same sample sheet?")
    return [known[patient] for patient in patient_ids]


def in_split(splits: pd.DataFrame, patient_ids: Iterable[str], split: str) -> NDArray[np.bool_]:
    """Whether each patient, in order, belongs to a split; errors as in `split_of`."""
    return np.array(split_of(splits, patient_ids), dtype=object) == split


def _some(names: list[str]) -> str:
    """The names, at most ten of them."""
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
