"""The compared vertebrae in groups: by what may look like a fracture, and by how their scan was made.

What only looks like a fracture is known of phantoms alone. Noise and sharpness are measured in the crops, as headers
do not tell them; kernels of different makers have names that cannot be ordered.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from vertegrade.arrays import Floats
from vertegrade.evaluation.bands import thickness_bands
from vertegrade.evaluation.bootstrap import Metric, Metrics, estimate
from vertegrade.evaluation.cases import patient_codes
from vertegrade.evaluation.comparison.tables import COMPARED_GROUPS
from vertegrade.evaluation.definitions import numbers, size
from vertegrade.evaluation.metrics import auc, share
from vertegrade.evaluation.subgroups import UNKNOWN, kernels, makers
from vertegrade.grading.appearance import CORRELATION, NOISE
from vertegrade.settings.evaluation import EvaluationSettings
from vertegrade.tables import KEY, check_table, has_flag

FINDING, METAL = "finding", "metal"
NO_FINDING = "none"  # of the findings that phantoms have
Group = tuple[str, str, pd.Series]


@dataclass(frozen=True)
class Acquired:
    """How the scans were made: SCANS, CROPS and APPEARANCE of all shards; truth: PHANTOM_TRUTH, None of patients."""

    scans: pd.DataFrame
    crops: pd.DataFrame
    appearance: pd.DataFrame
    truth: pd.DataFrame | None


def groups_table(
    cases: pd.DataFrame, acquired: Acquired, settings: EvaluationSettings, fracture_grade: int, seed: int
) -> pd.DataFrame:
    """COMPARED_GROUPS of the compared rows of COMPARED_CASES."""
    by_method = {str(name): _in_order(rows) for name, rows in cases[cases["compared"]].groupby("method", sort=False)}
    rows: list[dict[str, Any]] = []
    if not by_method:
        return check_table(pd.DataFrame(rows, columns=[*COMPARED_GROUPS.columns]), COMPARED_GROUPS, "groups")
    first = next(iter(by_method.values()))
    for kind, group, members in groups_of(first, acquired, settings):
        chosen = {name: table[members.to_numpy(bool)] for name, table in by_method.items()}
        of = next(iter(chosen.values()))
        metrics = {name: _figures(table, kind, fracture_grade) for name, table in chosen.items()}
        cells = estimate(_together(metrics), patient_codes(of), settings, seed)
        for name, cell in cells.items():
            method, figure = name.split(" ")
            known = {"kind": kind, "group": group, "method": method, "figure": figure}
            hits = _hits(chosen[method], figure, fracture_grade)
            numbers_of = {key: cell[key] for key in ("value", "low", "high", "n")}
            rows.append(known | numbers_of | {"hits": hits, "patients": of["patient_id"].nunique()})
    table = pd.DataFrame(rows, columns=[*COMPARED_GROUPS.columns])
    return check_table(table, COMPARED_GROUPS, "groups")


def _in_order(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.sort_values(KEY, ignore_index=True)


def groups_of(rows: pd.DataFrame, acquired: Acquired, settings: EvaluationSettings) -> Iterator[Group]:
    """Kind, name and members (N,) of each group of rows of one method that has any; a row may be in several."""
    scans = rows[["scan_id"]].merge(acquired.scans, on="scan_id", how="left", validate="many_to_one")
    if acquired.truth is not None:
        findings = rows[KEY].merge(acquired.truth[[*KEY, "finding"]], on=KEY, how="left")["finding"].fillna("")
        sets = findings.map(lambda text: set(text.split("+")) if text else {NO_FINDING})
        for name in [NO_FINDING, *sorted(set().union(*sets) - {NO_FINDING})]:
            yield FINDING, name, sets.map(lambda found, name=name: name in found)
    metal = pd.Series(has_flag(scans, METAL))
    if metal.any():
        yield FINDING, "scan with metal", metal
    bands, names = thickness_bands(rows["slice_thickness_mm"], settings.thickness_bands_mm)
    yield from _named("thickness", bands, names)
    yield from _named("noise", *thirds(rows, _looks(acquired.appearance, "noise"), "HU"))
    yield from _named("smoothness", *thirds(rows, _looks(acquired.appearance, "smoothness"), ""))
    inside = rows[KEY].merge(acquired.crops[[*KEY, "inside_fraction"]], on=KEY, how="left")["inside_fraction"]
    yield from _named("field", (inside < 1).map({False: "whole crop in the scan", True: "crop cut by the scan"}))
    yield from _named("maker", makers(scans))
    yield from _named("kernel", kernels(scans))


def _named(kind: str, names: pd.Series, order: list[str] | None = None) -> Iterator[Group]:
    for name in order or sorted(set(names)):
        members = names.reset_index(drop=True) == name
        if members.any():
            yield kind, str(name), members


def _looks(appearance: pd.DataFrame, what: str) -> pd.Series:
    """Of each scan the median over its crops: noise within slices in HU, or the correlation of neighbouring pixels."""
    x = np.stack([*appearance["x"]]).astype(float) if len(appearance) else np.empty((0, CORRELATION.stop))
    values = np.expm1(x[:, NOISE.start]) if what == "noise" else x[:, CORRELATION.start + 1]
    return pd.Series(values).groupby(appearance["scan_id"].to_numpy()).median()


def thirds(rows: pd.DataFrame, by_scan: pd.Series, unit: str) -> tuple[pd.Series, list[str]]:
    """Name of each row's third of the compared scans by a number that its scan has, and all names in order."""
    scans = by_scan.reindex(sorted(set(rows["scan_id"])))
    low, high = np.nanquantile(scans, [1 / 3, 2 / 3]) if scans.notna().any() else (np.nan, np.nan)
    digits, tail = (1, f" {unit}") if unit else (3, "")
    between = f"{low:.{digits}f}-{high:.{digits}f}{tail}"
    names = [f"up to {low:.{digits}f}{tail}", between, f"over {high:.{digits}f}{tail}", UNKNOWN]
    values = rows["scan_id"].map(by_scan).to_numpy(float)
    place = np.where(np.isnan(values), 3, np.searchsorted([low, high], values, side="left"))
    return pd.Series([names[p] for p in place], dtype=object), names


def _figures(rows: pd.DataFrame, kind: str, fracture_grade: int) -> Metrics:
    """False alarms among intact vertebrae; of acquisitions also AUC and sensitivity."""
    fractured = (rows["genant_grade"] >= fracture_grade).to_numpy(bool)
    called, severity = (rows["grade"] >= fracture_grade).to_numpy(bool), numbers(rows, "severity")
    positives, negatives = size(fractured), size(~fractured)

    def metrics(weights: Floats) -> dict[str, Metric]:
        alarms = {"false_alarms": Metric(share(called, ~fractured, weights), (negatives,))}
        if kind == FINDING:
            return alarms
        return alarms | {
            "sensitivity": Metric(share(called, fractured, weights), (positives,)),
            "auc": Metric(auc(severity, fractured, weights), (positives, negatives)),
        }

    return metrics


def _hits(rows: pd.DataFrame, figure: str, fracture_grade: int) -> float:
    """How many were called fractured of those that the figure is of; NaN of an AUC."""
    called, fractured = rows["grade"] >= fracture_grade, rows["genant_grade"] >= fracture_grade
    if figure == "auc":
        return float("nan")
    return float((called & (fractured if figure == "sensitivity" else ~fractured)).sum())


def _together(figures: Mapping[str, Metrics]) -> Metrics:
    def metrics(weights: Floats) -> dict[str, Metric]:
        return {
            f"{name} {figure}": cell for name, metric in figures.items() for figure, cell in metric(weights).items()
        }

    return metrics
