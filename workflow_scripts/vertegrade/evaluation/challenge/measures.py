"""Figures of the challenge: how severity follows the true loss, what is noticed, and what is a false alarm.

A figure `{value, low, high, n, skipped}` is as in `bootstrap.estimate`. Sensitivity and false alarms are those of the
whole chain: a vertebra that was not found or not graded is not noticed, and no alarm either. AUC, Spearman, severity
and coverage are of the graded ones.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from vertegrade.arrays import Floats
from vertegrade.drawn_tables import SOURCE, VIRTUAL_KINDS
from vertegrade.evaluation.bootstrap import Estimate, Metric, Metrics, estimate
from vertegrade.evaluation.cases import patient_codes
from vertegrade.evaluation.challenge.thresholds import LEAST_PATIENTS, SPECIFICITY, WANTED, loss_noticed
from vertegrade.evaluation.definitions import numbers, size
from vertegrade.evaluation.metrics import Flags, auc, mean, share, spearman
from vertegrade.level_texts import REGIONS
from vertegrade.settings.evaluation import EvaluationSettings
from vertegrade.spine.heights import MODERATE, genant_severity
from vertegrade.tables import HEIGHTS, KEY, SHAPES

BAND_EDGES = (0.05, 0.15, 0.20, 0.25, 0.30, 0.40, 0.50, 0.60)  # of true loss; Genant's limits are among them
CLEAR_LOSS = MODERATE  # from this loss on a fracture should be noticed
LEAST_FOR_LIMIT = 10  # fractures without which the smallest loss noticed would be noise
CONTROLS = [*VIRTUAL_KINDS[1:], SOURCE]


def challenge_measures(
    cases: Mapping[str, pd.DataFrame],
    states: pd.DataFrame,
    settings: EvaluationSettings,
    fracture_grade: int,
    seed: int,
) -> dict[str, Any]:
    """challenge.json: what was tested and how, and the figures of each method.

    cases: VIRTUAL_CASES by method. states: SCANS of the virtual scans of test patients after localization.
    """
    bodies = next(iter(cases.values()))
    lost = states.loc[states["state"] != "done", "reason"].value_counts().sort_index()
    return {
        "virtual": True,
        "fracture_grade": fracture_grade,
        "clear_loss": CLEAR_LOSS,
        "specificity": SPECIFICITY,
        "wanted_sensitivity": WANTED,
        "confidence": settings.confidence,
        "resamples": settings.bootstrap_resamples,
        "seed": seed,
        "patients": bodies["patient_id"].nunique(),
        "source_scans": bodies["source_scan_id"].nunique(),
        "virtual_scans": int((states["state"] == "done").sum()),
        "scans_left_out": {str(reason): int(count) for reason, count in lost.items()},
        "vertebrae": {kind: int((bodies["kind"] == kind).sum()) for kind in [*VIRTUAL_KINDS, SOURCE]},
        "methods": {method: method_measures(table, settings, seed) for method, table in cases.items()},
        "heights": height_measures(bodies, settings, seed),
    }


def method_measures(cases: pd.DataFrame, settings: EvaluationSettings, seed: int) -> dict[str, Any]:
    """Figures of one method: of all its VIRTUAL_CASES, and by shape, region and scanner.

    Each group has its own fractures and controls; a shape, which no control has, is held against all controls.
    """
    fractures = cases["kind"] == "fracture"
    by_shape = {shape: cases[~fractures | (cases["shape"] == shape)] for shape in SHAPES}
    by_region = {name: cases[cases["region"] == name] for name in REGIONS}
    by_scanner = {str(name): rows for name, rows in cases.groupby("scanner", sort=True)}

    def measured(groups: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
        there = {name: rows for name, rows in groups.items() if (rows["kind"] == "fracture").any()}
        return {name: group_measures(rows.reset_index(drop=True), settings, seed) for name, rows in there.items()}

    return {
        "all": group_measures(cases.reset_index(drop=True), settings, seed),
        "shape": measured(by_shape),
        "region": measured(by_region),
        "scanner": measured(by_scanner),
    }


def group_measures(cases: pd.DataFrame, settings: EvaluationSettings, seed: int) -> dict[str, Any]:
    """Figures of some cases of one method: counts, what is noticed, false alarms, by kind, and by band of loss."""
    metrics = _Group(cases)
    flat = _estimates(metrics.all, cases, settings, seed)
    kinds = {kind: _below(flat, kind) for kind in [*VIRTUAL_KINDS, SOURCE] if (cases["kind"] == kind).any()}
    bands = [
        {"from": low, "to": high, **_below(flat, f"{low:g}")}
        for low, high in pairwise(BAND_EDGES)
        if f"{low:g} sensitivity" in flat
    ]
    whole = {name: cell for name, cell in flat.items() if " " not in name}
    return {"counts": _counts(cases), **whole, "kinds": kinds, "bands": bands}


def _below(flat: Mapping[str, Estimate], name: str) -> dict[str, Estimate]:
    return {key.split(" ", 1)[1]: cell for key, cell in flat.items() if key.split(" ", 1)[0] == name}


def _counts(cases: pd.DataFrame) -> dict[str, int]:
    fractures = cases["kind"] == "fracture"
    return {
        "patients": cases["patient_id"].nunique(),
        "fractures": int(fractures.sum()),
        "clear_fractures": int((fractures & (cases["height_loss"] >= CLEAR_LOSS)).sum()),
        "controls": int((~fractures).sum()),
    }


class _Group:
    """The metrics of some cases of one method."""

    def __init__(self, cases: pd.DataFrame) -> None:
        self.loss, self.severity = numbers(cases, "height_loss"), numbers(cases, "severity")
        self.kind = cases["kind"].to_numpy(dtype=str)
        self.graded, self.unlike, self.noticed = (
            cases[name].to_numpy(dtype=bool) for name in ("evaluable", "unlike_training", "noticed")
        )
        self.has_novelty = np.isfinite(numbers(cases, "novelty"))
        self.found = (cases["found"] >= 0).to_numpy(dtype=bool)
        threshold, low, high = (numbers(cases, name) for name in ("threshold", "severity_low", "severity_high"))
        self.has_threshold = np.isfinite(threshold)
        self.noticed_at_95 = self.graded & self.has_threshold & (self.severity > threshold)
        self.has_interval = np.isfinite(low) & np.isfinite(high)
        true = genant_severity(self.loss)
        self.covered = self.has_interval & (low <= true) & (true <= high)

    def all(self, weights: Floats) -> dict[str, Metric]:
        """Every metric; a name in two parts is of a kind, or of the band of loss that begins there."""
        fracture = self.kind == "fracture"
        clear = fracture & (self.loss >= CLEAR_LOSS)
        ranked = self.graded & (clear | ~fracture)
        rising = self.graded & fracture
        metrics = {
            "auc": Metric(
                auc(self.severity[ranked], clear[ranked], weights[:, ranked]),
                (size(clear & ranked), size(~fracture & ranked)),
            ),
            "spearman": Metric(spearman(self.severity[rising], self.loss[rising], weights[:, rising]), (size(rising),)),
            "sensitivity": self._share(self.noticed, clear, weights),
            "sensitivity_at_95": self._share(self.noticed_at_95, clear & self.has_threshold, weights),
            "loss_noticed": self._limit(self.noticed, fracture, weights),
            "loss_noticed_at_95": self._limit(self.noticed_at_95, fracture & self.has_threshold, weights),
            "false_alarms": self._share(self.noticed, ~fracture, weights),
            "coverage": self._share(self.covered, self.has_interval, weights),
        }
        for kind in np.unique(self.kind):
            metrics |= self._of(str(kind), self.kind == kind, weights)
        for low, high in pairwise(BAND_EDGES):
            band = fracture & (self.loss >= low) & ((self.loss < high) | (high == BAND_EDGES[-1]))
            if band.any():
                metrics |= self._of(f"{low:g}", band, weights)
        return metrics

    def _of(self, name: str, chosen: Flags, weights: Floats) -> dict[str, Metric]:
        """Metrics of the chosen cases. For controls what is noticed is a false alarm."""
        what = "sensitivity" if name not in CONTROLS else "false_alarms"
        graded = chosen & self.graded
        return {
            f"{name} {what}": self._share(self.noticed, chosen, weights),
            f"{name} {what}_at_95": self._share(self.noticed_at_95, chosen & self.has_threshold, weights),
            f"{name} severity": Metric(mean(self.severity[graded], weights[:, graded]), (size(graded),)),
            f"{name} coverage": self._share(self.covered, chosen & self.has_interval, weights),
            f"{name} found": self._share(self.found, chosen, weights),
            f"{name} graded": self._share(self.graded, chosen, weights),
            f"{name} unlike_training": self._share(self.unlike, chosen & self.has_novelty, weights),
        }

    def _share(self, hit: Flags, among: Flags, weights: Floats) -> Metric:
        return Metric(share(hit, among, weights), (size(among),))

    def _limit(self, noticed: Flags, among: Flags, weights: Floats) -> Metric:
        enough = size(among) >= LEAST_FOR_LIMIT
        values = loss_noticed(self.loss[among], noticed[among], weights[:, among]) if enough else None
        return Metric(np.full(len(weights), np.nan) if values is None else values, (size(among),))


def height_measures(bodies: pd.DataFrame, settings: EvaluationSettings, seed: int) -> dict[str, Any]:
    """Error of measured heights, mm, of the virtual scans' vertebrae: by kind, and of fractures by shape, by column.

    bodies: cases of one method, whichever. mae: mean absolute error; bias: mean of measured - true. `all`: the columns
    together.
    """
    bodies = bodies[bodies["kind"] != SOURCE].drop_duplicates(KEY)
    groups = {kind: bodies[bodies["kind"] == kind] for kind in VIRTUAL_KINDS}
    groups |= {shape: groups["fracture"][groups["fracture"]["shape"] == shape] for shape in SHAPES}
    return {
        name: _nested(_estimates(_height_metrics(rows), rows, settings, seed))
        for name, rows in groups.items()
        if len(rows)
    }


def _height_metrics(bodies: pd.DataFrame) -> Metrics:
    errors = {name: numbers(bodies, f"measured_{name}_mm") - numbers(bodies, f"height_{name}_mm") for name in HEIGHTS}
    together = np.stack(list(errors.values()), axis=1)

    def metrics(weights: Floats) -> dict[str, Metric]:
        found = {}
        for name, error in (errors | {"all": together.mean(axis=1)}).items():
            known = np.isfinite(error)
            absolute = np.abs(together).mean(axis=1) if name == "all" else np.abs(error)
            for what, values in (("mae", absolute), ("bias", error)):
                found[f"{name} {what}"] = Metric(mean(values[known], weights[:, known]), (size(known),))
        return found

    return metrics


def _nested(flat: Mapping[str, Estimate]) -> dict[str, dict[str, Estimate]]:
    firsts = dict.fromkeys(name.split(" ", 1)[0] for name in flat)
    return {first: _below(flat, first) for first in firsts}


def _estimates(metrics: Metrics, cases: pd.DataFrame, settings: EvaluationSettings, seed: int) -> dict[str, Estimate]:
    """`estimate`, without an interval where there are too few patients to draw from."""
    cells = estimate(metrics, patient_codes(cases), settings, seed)
    few = cases["patient_id"].nunique() < LEAST_PATIENTS
    return {name: cell | {"low": None, "high": None} if few else cell for name, cell in cells.items()}
