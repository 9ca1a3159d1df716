"""How well whole patients are told apart by each network of a sequence model and by all together.

The threshold of each is chosen on validation patients; those of the test split only tell how good it is. Scans that
could not be read are counted with their reasons, and a patient all of whose scans could not be read has no score.
"""

from typing import Any

import numpy as np
import pandas as pd

from vertegrade.arrays import Floats
from vertegrade.evaluation.bootstrap import Metric, Metrics, estimate
from vertegrade.evaluation.definitions import detection_metrics
from vertegrade.evaluation.metrics import Flags
from vertegrade.settings.evaluation import EvaluationSettings

READINGS = ("p_fracture", "p_worst_patch")
CHOSEN, MEASURED = "validation", "test"


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
    usable = labels[labels["usable"]]
    truth = (usable["genant_grade"] >= fracture_grade).groupby(usable["patient_id"]).any()
    table = scores.merge(splits[["patient_id", "split"]], on="patient_id", how="left", validate="many_to_one")
    networks = {}
    for network, own in table[table["patient_id"].isin(truth.index)].groupby("network", sort=True):
        networks[str(network)] = {reading: _metrics(own, reading, truth, settings, seed) for reading in READINGS}
    return {"fracture_grade": fracture_grade, "networks": networks, "scans": _counts(table)}


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
    patients = own[own["evaluable"]].groupby(["split", "patient_id"], sort=True)[reading].max().reset_index()
    fractured = truth.loc[patients["patient_id"]].to_numpy(bool)
    score = patients[reading].to_numpy(np.float64)
    chosen, measured = (patients["split"].to_numpy(str) == split for split in (CHOSEN, MEASURED))
    threshold = best_threshold(score[chosen], fractured[chosen])
    called = np.zeros(len(score), bool) if threshold is None else score >= threshold
    metrics = detection_metrics(score[measured], called[measured], fractured[measured])
    if threshold is None:
        metrics = _without_calls(metrics)
    found = estimate(metrics, np.arange(int(measured.sum())), settings, seed)
    return {"threshold": threshold, "test": found}


def _without_calls(metrics: Metrics) -> Metrics:
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
