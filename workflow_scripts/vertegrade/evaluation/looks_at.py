"""Where in the crop the severity comes from, by area and grade: what maps say, and how far to trust them.

A map that is right foretells what replacing a part of the crop does (`agreement`), and is another one where the encoder
has learned nothing (Adebayo et al., NeurIPS 2018).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from vertegrade.arrays import Floats
from vertegrade.drawn_tables import AREAS, LOOKS, LOOKS_AT
from vertegrade.evaluation.bootstrap import Metric, Metrics, estimate
from vertegrade.evaluation.metrics import mean
from vertegrade.settings.evaluation import EvaluationSettings
from vertegrade.tables import GRADES, PATIENT_KEY, check_table

SHOWN = "gradient"  # the map of the page; docs/results/counterfactuals.md says why
FRACTURED = "1-3"
OF_AREAS = ("area", "share", "grades", "sway")
ADD_UP = ("gradient", "pca")  # maps whose pixels add up to the score


@dataclass(frozen=True, eq=False)
class Map:
    """One map of each of M vertebrae. values: (M, H, W), in grades. scores: (M,). agreement: (M,), or None."""

    values: Floats
    scores: Floats
    agreement: Floats | None = None


def looks_at_table(rows: pd.DataFrame, maps: dict[str, Map], areas: np.ndarray) -> pd.DataFrame:
    """LOOKS_AT. rows: M vertebrae with PATIENT_KEY, grade and severity. areas: (M, H, W) places in AREAS."""
    count = len(rows)
    tables = []
    for name, found in maps.items():
        size = np.abs(found.values)
        whole = np.maximum(size.sum(axis=(1, 2)), 1e-12)
        columns: dict[str, Any] = {"row": np.arange(count), "map": name, "score": found.scores}
        for place, area in enumerate(AREAS):
            here = areas == place
            columns[f"area_{area}"] = here.mean(axis=(1, 2))
            columns[f"share_{area}"] = (size * here).sum(axis=(1, 2)) / whole
            columns[f"grades_{area}"] = (found.values * here).sum(axis=(1, 2)) if name in ADD_UP else np.nan
        columns["agreement"] = np.full(count, np.nan) if found.agreement is None else found.agreement
        tables.append(rows[[*PATIENT_KEY, "grade", "severity"]].reset_index(drop=True).assign(**columns))
    table = pd.concat(tables, ignore_index=True)
    return check_table(table[list(LOOKS_AT.columns)], LOOKS_AT, "where the severity comes from")


def rank_correlations(one: Floats, other: Floats) -> Floats:
    """Spearman's rho (M,) of the pixels of two maps (M, H, W)."""
    if not len(one):
        return np.zeros(0)
    ranks = [rankdata(maps.reshape(len(maps), -1), axis=1) for maps in (one, other)]
    centred = [rank - rank.mean(axis=1, keepdims=True) for rank in ranks]
    lengths = np.linalg.norm(centred[0], axis=1) * np.linalg.norm(centred[1], axis=1)
    rho: Floats = np.divide((centred[0] * centred[1]).sum(axis=1), lengths, out=np.zeros(len(one)), where=lengths > 0)
    return rho


def looks_at_metrics(
    table: pd.DataFrame, checks: dict[str, Floats], settings: EvaluationSettings, seed: int
) -> dict[str, Any]:
    """Figures of LOOKS_AT with intervals over patients, for programs and the page.

    checks: further figures by name, (K,) of K vertebrae each; their means are given. For each map and grade ("all" for
    every one, "1-3" for those graded as fractured): `vertebrae`, `score`, and by area its `area`, `share`, `grades` and
    `sway`, the mean size of `grades` in single vertebrae.
    """
    maps: dict[str, Any] = {}
    for name in LOOKS:
        found = table[table["map"] == name]
        groups = {"all": found, FRACTURED: found[found["grade"] > 0]}
        groups |= {str(grade): found[found["grade"] == grade] for grade in GRADES}
        maps[name] = {
            "agreement": _plain_mean(found["agreement"].dropna()),
            "grades": {grade: _figures(rows, name in ADD_UP, settings, seed) for grade, rows in groups.items()},
        }
    return {
        "vertebrae": int(table["row"].nunique()),
        "shown": SHOWN,
        "confidence": settings.confidence,
        "areas": list(AREAS),
        "maps": maps,
        "checks": {name: _plain_mean(values) for name, values in checks.items()},
    }


def _figures(rows: pd.DataFrame, adds_up: bool, settings: EvaluationSettings, seed: int) -> dict[str, Any]:
    """Of one map and group. adds_up: whether the map's pixels do; else `grades` and `sway` are None."""
    patient = np.unique(rows["patient_id"].to_numpy(str), return_inverse=True)[1].astype(np.int64)
    kinds = OF_AREAS[:3] if adds_up else OF_AREAS[:2]
    names = ["score", *(f"{of}_{area}" for of in kinds for area in AREAS)]
    values = {name: rows[name].to_numpy(np.float64) for name in names}
    if adds_up:
        values |= {f"sway_{area}": np.abs(values[f"grades_{area}"]) for area in AREAS}
    found = estimate(_means(values), patient, settings, seed)
    by_area = {
        of: {area: found[f"{of}_{area}"] for area in AREAS if f"{of}_{area}" in found} or None for of in OF_AREAS
    }
    return {"vertebrae": len(rows), "score": found["score"], **by_area}


def _means(values: dict[str, Floats]) -> Metrics:
    def of(weights: Floats) -> dict[str, Metric]:
        return {name: Metric(mean(cases, weights), (len(cases),)) for name, cases in values.items()}

    return of


def _plain_mean(values: Any) -> float | None:
    return float(np.mean(values)) if len(values) else None
