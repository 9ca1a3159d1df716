"""Evaluate a method: predictions against Genant grades, with intervals, for vertebrae, patients, and in strata.

Ranking metrics (ROC and PR AUC, Spearman) use the continuous `severity`; a vertebra is called fractured by its grade,
a patient by a limit of its own. The grading stage fixed both, on training patients, or on validation patients where a
method has scores. One more threshold of the severity is chosen here, on validation patients: that of `*_at_95`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from vertegrade.arrays import Floats
from vertegrade.evaluation.bootstrap import Metric, Metrics, estimate
from vertegrade.evaluation.cases import Cohort, check_method, labelled_cases, patient_cases, patient_codes, split_cases
from vertegrade.evaluation.definitions import (
    numbers,
    patient_metrics,
    size,
    stratum_metrics,
    threshold_metrics,
    vertebra_metrics,
    wanted_threshold,
)
from vertegrade.evaluation.metrics import Flags, confusion, share
from vertegrade.evaluation.subgroups import subgroups
from vertegrade.level_texts import REGIONS, region
from vertegrade.levels import NAMES, craniocaudal_rank
from vertegrade.settings.evaluation import EvaluationSettings
from vertegrade.tables import SHAPES, SPLITS

SHAPE_NOT_GIVEN = "not given"  # of a fracture in labels without shapes
NOT_OF_SHAPES = ("pr_auc", "specificity", "interval_coverage", "interval_width")
STRATA = ("by_shape", "by_region", "by_level", "by_sex", "by_age", "by_maker", "by_kernel", "by_thickness")
CALIBRATION_BINS = 10  # of the calibration curve, each with as many vertebrae as the next


def evaluate(
    predictions: pd.DataFrame,
    cohort: Cohort,
    settings: EvaluationSettings,
    fracture_grade: int,
    seed: int,
    method: str,
) -> dict[str, Any]:
    """metrics.json of one method: the same block for each split; `test` is the result, the others show over-fitting.

    predictions: PREDICTIONS of that method. Every metric is `{value, low, high, n, skipped}`, null where undefined.
    threshold_at_95: the severity above which `sensitivity_at_95` and `specificity_at_95` of all splits call a vertebra,
    chosen on validation patients.
    EvaluationError for tables that do not fit.
    """
    check_method(predictions, method)
    cases = labelled_cases(predictions, cohort)
    threshold = wanted_threshold(split_cases(cases, "validation"), fracture_grade, settings.minimum_cases)
    return {
        "method": method,
        "fracture_grade": fracture_grade,
        "confidence": settings.confidence,
        "resamples": settings.bootstrap_resamples,
        "seed": seed,
        "threshold_at_95": threshold,
        "splits": {
            split: _evaluate_split(split_cases(cases, split), cohort, fracture_grade, settings, seed, threshold)
            for split in SPLITS
        },
    }


def _evaluate_split(
    cases: pd.DataFrame,
    cohort: Cohort,
    fracture_grade: int,
    settings: EvaluationSettings,
    seed: int,
    threshold: float | None,
) -> dict[str, Any]:
    codes = patient_codes(cases)
    graded = cases[cases["evaluable"]].reset_index(drop=True)
    groups = subgroups(graded, cohort.scans, cohort.subjects, settings)
    patients = patient_cases(cases, fracture_grade)
    counts = confusion(graded["genant_grade"].to_numpy(), graded["grade"].to_numpy(), np.ones((1, len(graded))))[0]
    return {
        "counts": _counts(cases, patients, fracture_grade),
        "vertebra": estimate(vertebra_metrics(cases, fracture_grade), codes, settings, seed)
        | estimate(threshold_metrics(cases, fracture_grade, threshold), codes, settings, seed),
        "patient": estimate(patient_metrics(patients), np.arange(len(patients)), settings, seed),
        "confusion": counts.astype(int).tolist(),
        "calibration": _calibration(graded, fracture_grade, settings, seed),
        "by_shape": _shapes(graded, fracture_grade, settings, seed),
        "by_region": _strata(graded, graded["vertebra"].map(region), list(REGIONS), fracture_grade, settings, seed),
        "by_level": _strata(
            graded, graded["vertebra"].map(NAMES.get), _level_names(graded), fracture_grade, settings, seed
        ),
        **{f"by_{kind}": _strata(graded, *of, fracture_grade, settings, seed) for kind, of in groups.items()},
    }


def _counts(cases: pd.DataFrame, patients: pd.DataFrame, fracture_grade: int) -> dict[str, Any]:
    reasons = cases.loc[~cases["evaluable"], "reason"].value_counts().sort_index()
    return {
        "patients": len(patients),
        "patients_evaluated": int(patients["evaluable"].sum()),
        "patients_fractured": int(patients["fractured"].sum()),
        "vertebrae_labelled": len(cases),
        "vertebrae_evaluated": int(cases["evaluable"].sum()),
        "vertebrae_fractured": int((cases["genant_grade"] >= fracture_grade).sum()),
        "not_evaluable": {str(reason): int(count) for reason, count in reasons.items()},
    }


def _calibration(
    graded: pd.DataFrame, fracture_grade: int, settings: EvaluationSettings, seed: int
) -> list[dict[str, float | int | None]]:
    """Calibration curve: bins of about equal size by p_fracture; observed share of fractures with its interval."""
    p = numbers(graded, "p_fracture")
    fractured = (graded["genant_grade"] >= fracture_grade).to_numpy(dtype=bool)
    if not len(p):
        return []
    edges = np.unique(np.quantile(p, np.linspace(0, 1, CALIBRATION_BINS + 1)))
    bins = np.searchsorted(edges[1:-1], p, side="right")
    used = np.unique(bins)

    def metrics(weights: Floats) -> dict[str, Metric]:
        return {str(b): Metric(share(fractured, bins == b, weights), (size(bins == b),)) for b in used}

    shares = estimate(metrics, patient_codes(graded), settings, seed)
    return [{"predicted": float(p[bins == b].mean()), **shares[str(b)]} for b in used]


def _level_names(graded: pd.DataFrame) -> list[str]:
    return [NAMES[label] for label in sorted(set(graded["vertebra"].tolist()), key=craniocaudal_rank)]


def _strata(
    graded: pd.DataFrame,
    stratum: pd.Series,
    names: list[str],
    fracture_grade: int,
    settings: EvaluationSettings,
    seed: int,
) -> dict[str, dict[str, Any]]:
    """`stratum_metrics` of each stratum that has cases."""
    result: dict[str, dict[str, Any]] = {}
    for name in names:
        cases = graded[stratum == name]
        if len(cases):
            metrics = estimate(stratum_metrics(cases, fracture_grade), patient_codes(cases), settings, seed)
            result[name] = {"counts": _stratum_counts(cases, fracture_grade), **metrics}
    return result


def _shapes(
    graded: pd.DataFrame, fracture_grade: int, settings: EvaluationSettings, seed: int
) -> dict[str, dict[str, Any]]:
    """The same of the fractures of each shape, beside all intact vertebrae.

    Intact vertebrae have no shape. So specificity would be the same everywhere, and the precision of one shape and the
    intervals of it and all intact ones say nothing: they are left out.
    """
    intact = graded["genant_grade"] < fracture_grade
    shapes = graded["shape"].replace("", SHAPE_NOT_GIVEN)
    result: dict[str, dict[str, Any]] = {}
    for name in [*SHAPES, SHAPE_NOT_GIVEN]:
        fractures = ~intact & (shapes == name)
        if fractures.any():
            cases = graded[intact | fractures].reset_index(drop=True)
            metrics = estimate(stratum_metrics(cases, fracture_grade), patient_codes(cases), settings, seed)
            kept = {metric: cell for metric, cell in metrics.items() if metric not in NOT_OF_SHAPES}
            result[name] = {"counts": _stratum_counts(graded[fractures], fracture_grade), **kept}
    return result


def _stratum_counts(cases: pd.DataFrame, fracture_grade: int) -> dict[str, int]:
    fractured = (cases["genant_grade"] >= fracture_grade).to_numpy(dtype=bool)
    return {"vertebrae": len(cases), "fractured": size(fractured), "patients": cases["patient_id"].nunique()}


def compare(
    first: pd.DataFrame,
    second: pd.DataFrame,
    cohort: Cohort,
    settings: EvaluationSettings,
    fracture_grade: int,
    seed: int,
    methods: tuple[str, str],
) -> dict[str, Any]:
    """Paired differences (first - second) of two methods' PREDICTIONS on the test vertebrae that both graded.

    Both methods see the same resampled patients, so that what is hard for both cancels. As everywhere a patient is
    fractured by all labelled vertebrae, and the rates of what is not evaluable are of all of them. Returns `methods`,
    `vertebrae`, and for `vertebra` and `patient` the estimates of the differences.
    """
    for side, method in zip((first, second), methods, strict=True):
        check_method(side, method)
    sides = [split_cases(labelled_cases(side, cohort), "test") for side in (first, second)]
    both = (sides[0]["evaluable"] & sides[1]["evaluable"]).to_numpy(dtype=bool)
    vertebra, patient = zip(*(_as_compared(side, both, fracture_grade) for side in sides), strict=True)
    number = np.arange(sides[0]["patient_id"].nunique())
    return {
        "methods": list(methods),
        "vertebrae": size(both),
        "vertebra": estimate(_difference(*vertebra), patient_codes(sides[0]), settings, seed),
        "patient": estimate(_difference(*patient), number, settings, seed),
    }


def _as_compared(cases: pd.DataFrame, both: Flags, fracture_grade: int) -> tuple[Metrics, Metrics]:
    """Metrics of vertebrae and of patients by the cases `both` (N,) alone, with the rates of one method's own grades.

    Cases that are left out stay in the table: a fracture among them still makes its patient a fractured one.
    """
    compared = cases.assign(evaluable=both)
    patients, own = (patient_cases(table, fracture_grade) for table in (compared, cases))
    return (
        _with_rate(vertebra_metrics(compared, fracture_grade), cases),
        _with_rate(patient_metrics(patients), own),
    )


def _with_rate(metrics: Metrics, own: pd.DataFrame) -> Metrics:
    """The same metrics, but for the rate of what is not evaluable: that is of `own`."""
    missing, everyone = (~own["evaluable"]).to_numpy(dtype=bool), np.full(len(own), True)

    def all_metrics(weights: Floats) -> dict[str, Metric]:
        rate = Metric(share(missing, everyone, weights), (len(own),))
        return {**metrics(weights), "non_evaluable_rate": rate}

    return all_metrics


def _difference(first: Metrics, second: Metrics) -> Callable[[Floats], dict[str, Metric]]:
    def metrics(weights: Floats) -> dict[str, Metric]:
        b = second(weights)
        return {name: Metric(a.values - b[name].values, a.cases) for name, a in first(weights).items()}

    return metrics


ESTIMATE = ["value", "low", "high", "n", "skipped"]


def metrics_table(metrics: dict[str, Any]) -> pd.DataFrame:
    """Every estimate of a metrics dict, one per row: method, split, group, metric, value, low, high, n, skipped."""
    rows = []
    for split, block in metrics["splits"].items():
        groups = {"vertebra": block["vertebra"], "patient": block["patient"]}
        for kind in STRATA:
            groups |= {f"{kind.removeprefix('by_')} {name}": stratum for name, stratum in block[kind].items()}
        for group, estimates in groups.items():
            for name, cell in estimates.items():
                if name != "counts":
                    rows.append([metrics["method"], split, group, name, *(cell[key] for key in ESTIMATE)])
    return pd.DataFrame(rows, columns=["method", "split", "group", "metric", *ESTIMATE])
