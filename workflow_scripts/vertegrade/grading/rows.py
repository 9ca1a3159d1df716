"""Latents joined with their grades, one split at a time; folds and subsets that keep patients whole."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vertegrade.arrays import Floats
from vertegrade.cohort import splits as patient_splits
from vertegrade.tables import PATIENT_KEY

Flags = NDArray[np.bool_]
Whole = NDArray[np.int64]

# Patients with a fractured vertebra, and with an intact one, that nested cross-validation needs in the training split.
LEAST_PATIENTS = 3


class GradingError(ValueError):
    """Latents, labels or fitted numbers that do not allow or do not match what is asked."""


@dataclass(frozen=True)
class GradedLatents:
    """Evaluable vertebrae of one split that have a usable grade, sorted by patient, scan and vertebra.

    z: (N, D) latents. errors: (N, K, D) of `stack_errors`. grade: (N,) Genant grades 0-3. patient: (N,) number of the
    patient, 0 ... P-1.
    """

    z: Floats
    errors: Floats
    grade: Whole
    patient: Whole


def stack_latents(latents: pd.DataFrame) -> Floats:
    """The latents of a LATENTS table as one array (N, D) of float64; GradingError where they cannot be used."""
    z = np.array(latents["z"].tolist(), dtype=np.float64).reshape(len(latents), -1 if len(latents) else 0)
    bad = np.flatnonzero(~np.isfinite(z).all(axis=1))
    if len(bad):
        first = latents["scan_id"].iloc[int(bad[0])]
        raise GradingError(f"latents that are not finite, first in scan {first}; train the encoder again")
    return z


def stack_errors(latents: pd.DataFrame) -> Floats:
    """z_errors of a LATENTS table as vectors (N, K, D), 0 where unknown; K is 0 where the table has none."""
    count, length = len(latents), len(latents["z"].iloc[0]) if len(latents) else 0
    if not count or "z_errors" not in latents or latents["z_errors"].isna().all():
        return np.zeros((count, 0, length))
    stacked = np.array(latents["z_errors"].tolist(), dtype=np.float64).reshape(count, -1, length)
    return np.nan_to_num(stacked)


def one_model(latents: pd.DataFrame) -> str:
    """SHA-256 of the weights that made the latents; GradingError where several did, or where there are none."""
    models = sorted(latents["model_sha256"].unique())
    if len(models) != 1:
        found = ", ".join(model[:12] for model in models) or "no latents at all"
        raise GradingError(f"latents must come from exactly one encoder; found {found}. Encode all shards again")
    return str(models[0])


def in_split(latents: pd.DataFrame, splits: pd.DataFrame, split: str) -> pd.DataFrame:
    """The evaluable rows of one split, sorted by patient, scan and vertebra."""
    chosen = patient_splits.in_split(splits, latents["patient_id"], split)
    return latents[chosen & latents["evaluable"].to_numpy(dtype=bool)].sort_values(PATIENT_KEY, ignore_index=True)


def graded_latents(latents: pd.DataFrame, labels: pd.DataFrame, splits: pd.DataFrame, split: str) -> GradedLatents:
    """Join LATENTS and LABELS on patient, scan and vertebra, within one split.

    A scan that has one patient in the latents and another in the labels raises GradingError: grouping by patient
    would then be wrong.
    """
    owners = pd.concat([latents[["scan_id", "patient_id"]], labels[["scan_id", "patient_id"]]]).drop_duplicates()
    torn = owners.loc[owners["scan_id"].duplicated(), "scan_id"].tolist()
    if torn:
        raise GradingError(
            f"scan {torn[0]} has one patient in the latents and another in the labels; correct the labels"
        )
    usable = labels.loc[labels["usable"], [*PATIENT_KEY, "genant_grade"]]
    rows = in_split(latents, splits, split).merge(usable, on=PATIENT_KEY, how="inner", validate="one_to_one")
    if rows.empty:
        raise GradingError(
            f"no evaluable vertebra of the {split} split has a usable grade; check the labels and the splits"
        )
    patient = pd.factorize(rows["patient_id"], sort=True)[0]
    grade = rows["genant_grade"].to_numpy(np.int64)
    return GradedLatents(stack_latents(rows), stack_errors(rows), grade, patient.astype(np.int64))


def patient_folds(grade: Whole, patient: Whole, fracture_grade: int, folds: int, seed: int, least: int = 2) -> Whole:
    """Fold of each vertebra (N,): whole patients, distributed by falling worst grade so that the folds are alike.

    No more folds than patients with a fracture, so that each fold has one. GradingError where fewer than `least`
    patients have a fracture or fewer than `least` have a vertebra without.
    """
    patients = np.unique(patient)
    fractured = np.unique(patient[grade >= fracture_grade])
    intact = np.unique(patient[grade < fracture_grade])
    if min(len(fractured), len(intact)) < least:
        raise GradingError(
            f"fitting needs at least {least} patients with a vertebra of grade {fracture_grade} or more and {least} "
            f"with one below; the training data has {len(fractured)} and {len(intact)}; add graded patients or change "
            "the splits"
        )
    worst = np.array([grade[patient == number].max() for number in patients])
    shuffled = np.random.default_rng(seed).permutation(len(patients))
    order = shuffled[np.argsort(-worst[shuffled], kind="stable")]
    fold = np.empty(len(patients), dtype=np.int64)
    fold[order] = np.arange(len(patients)) % min(folds, len(fractured))
    return fold[np.searchsorted(patients, patient)]
