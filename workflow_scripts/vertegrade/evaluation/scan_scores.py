"""How well whole patients are told apart by each network of a sequence model and by all together.

The threshold of each is chosen on validation patients; those of the test split only tell how good it is. Scans that
could not be read are counted with their reasons, and a patient all of whose scans could not be read has no score.
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from vertegrade.arrays import Floats
from vertegrade.evaluation.bootstrap import Metric, Metrics, estimate
from vertegrade.evaluation.definitions import detection_metrics
from vertegrade.evaluation.metrics import Flags
from vertegrade.settings.evaluation import EvaluationSettings

READINGS = ("p_fracture", "p_worst_patch")
CHOSEN, MEASURED = "validation", "test"
ENSEMBLE = "ensemble"  # as graders/seq2seq/scoring.py calls it, which would bring torch with it


class WholeScans(NamedTuple):
    """A sequence model's own answer for test patients.

    p_fracture: by patient_id, by the ensemble's scan head, the largest over the scans that could be read; who has none
    is not in it. threshold: from which on a patient is called fractured, chosen on validation patients; None where
    these are not of both kinds.
    """

    p_fracture: "pd.Series[float]"
    threshold: float | None


def whole_scans(scores: pd.DataFrame, labels: pd.DataFrame, splits: pd.DataFrame, fracture_grade: int) -> WholeScans:
    """WholeScans of SCAN_SCORES, with the threshold of `scan_metrics`."""
    truth = _truth(labels, fracture_grade)
    table = _with_splits(scores[scores["network"] == ENSEMBLE], splits)
    patients = _by_patient(table[table["patient_id"].isin(truth.index)], READINGS[0])
    measured = patients[patients["split"] == MEASURED].set_index("patient_id")
    return WholeScans(measured[READINGS[0]], _threshold(patients, READINGS[0], truth))


def scan_metrics(
    scores: pd.DataFrame,
    labels: pd.DataFrame,
    splits: pd.DataFrame,
    settings: EvaluationSettings,
    fracture_grade: int,
    seed: int,
) -> dict[str, Any]:
    """Metrics by network and reading. scores: SCAN_SCORES. A patient is as fractured as the worst labelled vertebra.

    Each has `threshold` and, of the test split, `auc`, `pr_auc`, `sensitivity` and `specificity` with intervals
    (`bootstrap.estimate`); the last two are null where there is no threshold. `scans`: of each split how many, and how
    many could not be read, by reason; also those of patients without labels.
    """
    truth = _truth(labels, fracture_grade)
    table = _with_splits(scores, splits)
    networks = {}
    for network, own in table[table["patient_id"].isin(truth.index)].groupby("network", sort=True):
        networks[str(network)] = {reading: _metrics(own, reading, truth, settings, seed) for reading in READINGS}
    return {"fracture_grade": fracture_grade, "networks": networks, "scans": _counts(table)}


def _truth(labels: pd.DataFrame, fracture_grade: int) -> "pd.Series[bool]":
    """Whether a patient is fractured, by patient_id, of those with a usable label."""
    usable = labels[labels["usable"]]
    return (usable["genant_grade"] >= fracture_grade).groupby(usable["patient_id"]).any()


def _with_splits(scores: pd.DataFrame, splits: pd.DataFrame) -> pd.DataFrame:
    return scores.merge(splits[["patient_id", "split"]], on="patient_id", how="left", validate="many_to_one")


def _by_patient(own: pd.DataFrame, reading: str) -> pd.DataFrame:
    """Split, patient_id and the largest reading of the scans that could be read, sorted by split and patient."""
    return own[own["evaluable"]].groupby(["split", "patient_id"], sort=True)[reading].max().reset_index()


def _threshold(patients: pd.DataFrame, reading: str, truth: "pd.Series[bool]") -> float | None:
    """`best_threshold` of the validation patients of `_by_patient`."""
    chosen = patients[patients["split"] == CHOSEN]
    return best_threshold(chosen[reading].to_numpy(np.float64), truth.loc[chosen["patient_id"]].to_numpy(bool))


def best_threshold(score: Floats, fractured: Flags) -> float | None:
    """The score from which on a patient is called fractured: that of the highest sensitivity + specificity (Youden).

    Of several as good ones the middle one; None where patients of either kind are missing.
    """
    if not fractured.any() or fractured.all():
        return None
    limits = np.unique(score)
    gain = [float((score[fractured] >= limit).mean() + (score[~fractured] < limit).mean()) for limit in limits]
    best = np.flatnonzero(np.array(gain) >= max(gain) - 1e-12)
    return float(limits[best[len(best) // 2]])


def _metrics(
    own: pd.DataFrame, reading: str, truth: "pd.Series[bool]", settings: EvaluationSettings, seed: int
) -> dict[str, Any]:
    """Threshold by validation patients, and metrics of test patients, of one network and reading."""
    patients = _by_patient(own, reading)
    threshold = _threshold(patients, reading, truth)
    measured = patients[patients["split"] == MEASURED]
    score = measured[reading].to_numpy(np.float64)
    metrics = detection_metrics(score, calls(score, threshold), truth.loc[measured["patient_id"]].to_numpy(bool))
    if threshold is None:
        metrics = without_calls(metrics)
    found = estimate(metrics, np.arange(len(measured)), settings, seed)
    return {"threshold": threshold, "test": found}


def calls(score: Floats, threshold: float | None) -> Flags:
    """Whom a threshold calls fractured: nobody without one (then see `without_calls`), nor without a score (NaN)."""
    return np.zeros(len(score), bool) if threshold is None else score >= threshold


def without_calls(metrics: Metrics) -> Metrics:
    """The same metrics where nobody can be called: a specificity of 1 would look like a finding."""

    def undefined(weights: Floats) -> dict[str, Metric]:
        cells, none = metrics(weights), np.full(len(weights), np.nan)
        return cells | {name: Metric(none, cells[name].cases) for name in ("sensitivity", "specificity")}

    return undefined


def _counts(table: pd.DataFrame) -> dict[str, Any]:
    """Scans and those that could not be read, by split and reason."""
    counts: dict[str, Any] = {}
    for split, own in table.drop_duplicates("scan_id").groupby("split", sort=True):
        reasons = own.loc[~own["evaluable"], "reason"].value_counts().sort_index()
        counts[str(split)] = {"scans": len(own), "not_evaluable": {str(k): int(v) for k, v in reasons.items()}}
    return counts
