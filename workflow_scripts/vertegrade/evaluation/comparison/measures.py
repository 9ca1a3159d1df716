"""The table of the comparison: figures of every method on the same vertebrae, and of each pair their differences.

All methods see the same resampled patients, so that what is hard for all of them cancels in a difference. Thresholds
were fixed on training patients, those of methods with scores and of whole scans on validation patients; nothing is
chosen here.
"""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from vertegrade.arrays import Floats
from vertegrade.evaluation.bootstrap import Estimate, Metric, Metrics, estimate
from vertegrade.evaluation.cases import patient_cases, patient_codes
from vertegrade.evaluation.comparison.delong import UNKNOWN, contrast, delong, interval
from vertegrade.evaluation.comparison.published import published_rows
from vertegrade.evaluation.comparison.tables import COMPARISON, PATIENTS, THIS_RUN, VERTEBRAE, WHOLE_SCAN
from vertegrade.evaluation.definitions import numbers, size
from vertegrade.evaluation.metrics import Flags, auc, confusion, macro_f1, mean, share, spearman
from vertegrade.evaluation.scan_scores import WholeScans, calls, without_calls
from vertegrade.settings.evaluation import EvaluationSettings
from vertegrade.tables import check_table

Cases = Mapping[str, pd.DataFrame]
SEPARATOR = " "  # between method, the one that is subtracted, and figure, in names of estimates


def comparison_table(
    cases: Cases, settings: EvaluationSettings, fracture_grade: int, seed: int, scans: WholeScans | None = None
) -> pd.DataFrame:
    """COMPARISON of `cases_of`: vertebrae, patients, and what papers report of other data.

    Of vertebrae and patients alike all figures but `graded` are of the compared vertebrae. A patient is fractured by
    all labelled vertebrae, and called by its method's own rule for patients. scans: those that `cases_of` was given;
    their patients' rows have the method WHOLE_SCAN.
    """
    first = next(iter(cases.values()))
    patients = {name: patient_cases(_as_compared(table), fracture_grade) for name, table in cases.items()}
    graded = {name: patient_cases(table, fracture_grade)["evaluable"] for name, table in cases.items()}
    vertebrae = {name: vertebra_figures(table, fracture_grade) for name, table in cases.items()}
    people = {name: patient_figures(table, graded[name].to_numpy(bool)) for name, table in patients.items()}
    if scans is not None:
        patients[WHOLE_SCAN] = _scored_patients(next(iter(patients.values())), scans)
        people[WHOLE_SCAN] = _scan_figures(patients[WHOLE_SCAN], scans)
    number = np.arange(len(next(iter(patients.values()))))
    severities = {name: numbers(table[table["compared"]], "severity") for name, table in cases.items()}
    largest = {name: numbers(table[table["evaluable"]], "severity") for name, table in patients.items()}
    fractured = (first.loc[first["compared"], "genant_grade"] >= fracture_grade).to_numpy(bool)
    with_fracture = next(iter(patients.values())).query("evaluable")["fractured"].to_numpy(bool)
    seen = first.loc[first["compared"], "patient_id"].nunique()
    rows = _rows(VERTEBRAE, estimate(side_by_side(vertebrae), patient_codes(first), settings, seed), seen)
    rows += _rows(PATIENTS, estimate(side_by_side(people), number, settings, seed), seen)
    for unit, scores, positive in ((VERTEBRAE, severities, fractured), (PATIENTS, largest, with_fracture)):
        intervals = delong_intervals(scores, positive, settings)
        for row in rows:
            if row["unit"] == unit and row["figure"] == "auc":
                low, high = intervals[row["method"], row["minus"]]
                row |= {"delong_low": low, "delong_high": high}
    table = pd.DataFrame([*rows, *published_rows()], columns=[*COMPARISON.columns])
    return check_table(table, COMPARISON, "comparison of methods")


def _as_compared(cases: pd.DataFrame) -> pd.DataFrame:
    return cases.assign(evaluable=cases["compared"])


def _scored_patients(patients: pd.DataFrame, scans: WholeScans) -> pd.DataFrame:
    """`patient_cases` whose severity is the score of their scans (NaN without one), by which they are called."""
    score = patients["patient_id"].map(scans.p_fracture).astype(float)
    return patients.assign(severity=score, called=calls(np.array(score, np.float64), scans.threshold))


def _scan_figures(patients: pd.DataFrame, scans: WholeScans) -> Metrics:
    """`patient_figures` of `_scored_patients`; `graded` is the share of patients with a score."""
    figures = patient_figures(patients, patients["severity"].notna().to_numpy(bool))
    return without_calls(figures) if scans.threshold is None else figures


def vertebra_figures(cases: pd.DataFrame, fracture_grade: int) -> Metrics:
    """Figures of one method's cases (N): of the compared ones, and the share of all that it graded."""
    chosen, evaluable = (cases[name].to_numpy(dtype=bool) for name in ("compared", "evaluable"))
    rows = cases[chosen]
    true, predicted, severity = rows["genant_grade"].to_numpy(), rows["grade"].to_numpy(), numbers(rows, "severity")
    loss, low, high = (numbers(rows, name) for name in ("height_loss", "severity_low", "severity_high"))
    fractured, everyone = true >= fracture_grade, np.full(len(rows), True)
    rising = (true >= 1) & np.isfinite(loss)
    inside, known = (low <= true) & (true <= high), np.isfinite(low) & np.isfinite(high)
    detection = detection_figures(severity, predicted >= fracture_grade, fractured)

    def metrics(weights: Floats) -> dict[str, Metric]:
        graded = Metric(share(evaluable, np.full(len(cases), True), weights), (len(cases),))
        weights, n = weights[:, chosen], len(rows)
        return {
            **detection(weights),
            "macro_f1": Metric(macro_f1(confusion(true, predicted, weights)), (n,)),
            "exact_grade": Metric(share(predicted == true, everyone, weights), (n,)),
            "spearman_grade": Metric(spearman(severity, true.astype(float), weights), (n,)),
            "spearman_height_loss": Metric(
                spearman(severity[rising], loss[rising], weights[:, rising]), (size(rising),)
            ),
            "mae": Metric(mean(np.abs(severity - true), weights), (n,)),
            "interval_coverage": Metric(share(inside, known, weights), (size(known),)),
            "graded": graded,
        }

    return metrics


def detection_figures(severity: Floats, called: Flags, fractured: Flags) -> Metrics:
    """AUC of the severity, sensitivity and specificity of what is called fractured."""
    positives, negatives = size(fractured), size(~fractured)

    def metrics(weights: Floats) -> dict[str, Metric]:
        return {
            "auc": Metric(auc(severity, fractured, weights), (positives, negatives)),
            "sensitivity": Metric(share(called, fractured, weights), (positives,)),
            "specificity": Metric(share(~called, ~fractured, weights), (negatives,)),
        }

    return metrics


def patient_figures(patients: pd.DataFrame, graded: Flags) -> Metrics:
    """Figures of one method's patients: of `patient_cases` by the compared vertebrae; graded: (N,) by any vertebra."""
    evaluable = patients["evaluable"].to_numpy(dtype=bool)
    rows = patients[evaluable]
    fractured, called = (rows[name].to_numpy(dtype=bool) for name in ("fractured", "called"))
    detection = detection_figures(numbers(rows, "severity"), called, fractured)

    def metrics(weights: Floats) -> dict[str, Metric]:
        part = Metric(share(graded, np.full(len(patients), True), weights), (len(patients),))
        return {**detection(weights[:, evaluable]), "graded": part}

    return metrics


def side_by_side(figures: Mapping[str, Metrics]) -> Metrics:
    """The figures of all methods and the differences of each pair, named `method minus figure`."""

    def metrics(weights: Floats) -> dict[str, Metric]:
        of = {name: metric(weights) for name, metric in figures.items()}
        found = {_name(name, "", figure): cell for name, cells in of.items() for figure, cell in cells.items()}
        for one, other in combinations(of, 2):
            for figure, cell in of[one].items():
                found[_name(one, other, figure)] = Metric(cell.values - of[other][figure].values, cell.cases)
        return found

    return metrics


def _name(method: str, minus: str, figure: str) -> str:
    return SEPARATOR.join((method, minus, figure))


def _rows(unit: str, cells: Mapping[str, Estimate], patients: int) -> list[dict[str, Any]]:
    rows = []
    for name, cell in cells.items():
        method, minus, figure = name.split(SEPARATOR)
        row: dict[str, Any] = {"data": THIS_RUN, "method": method, "minus": minus, "unit": unit, "figure": figure}
        row |= {key: cell[key] for key in ("value", "low", "high")}
        row |= {"delong_low": None, "delong_high": None, "n": cell["n"], "patients": patients, "source": ""}
        rows.append(row)
    return rows


def delong_intervals(
    scores: Mapping[str, Floats], positive: Flags, settings: EvaluationSettings
) -> dict[tuple[str, str], tuple[float, float]]:
    """DeLong intervals by (method, "") of areas and (method, other) of differences; unknown with too few cases."""
    names = list(scores)
    enough = min(size(positive), size(~positive)) >= settings.minimum_cases
    areas, covariance = delong(np.stack([*scores.values()]), positive)
    found = {}
    for one, name in enumerate(names):
        whole = interval(areas[one], covariance[one, one], settings.confidence, (0, 1))
        found[name, ""] = whole if enough else UNKNOWN
    for one, other in combinations(range(len(names)), 2):
        between = interval(areas[one] - areas[other], contrast(covariance, one, other), settings.confidence, (-1, 1))
        found[names[one], names[other]] = between if enough else UNKNOWN
    return found
