"""<results>/summary.json: the few figures that other programs rely on, described in docs/reference/summary.md."""

from typing import Any

from vertegrade.tables import GRADES

VERTEBRA = ["sensitivity", "specificity", "macro_f1", "qwk", "mae", "spearman_height_loss", "interval_coverage"]
VERTEBRA += ["interval_width", "sensitivity_at_95", "specificity_at_95"]
PATIENT = ["sensitivity", "specificity", "brier", "ece"]
INTERVALS = ["interval_coverage", "interval_width"]
COHORT = ["scans", "scans_done", "vertebrae", "vertebrae_graded"]
COHORT += ["vertebrae_uncertain_level", "vertebrae_doubtful_points"]
COHORT += ["vertebrae_unlike_training", "vertebrae_methods_disagree"]
RUN = ["commit", "settings_sha256", "jobs", "wall_s"]


def summary(
    metrics_by_method: dict[str, dict[str, Any]],
    cohort_counts: dict[str, int],
    run_facts: dict[str, Any],
    cost: dict[str, Any],
) -> dict[str, Any]:
    """The content of summary.json.

    metrics_by_method: what `evaluate` returned, by method name. cohort_counts and run_facts: at least the keys of
    `cohort` and `run` (others are left out); a missing key is a KeyError. cost: what `cost` returned. All figures of
    methods are of the test split.
    """
    return {
        "methods": {name: _method(metrics["splits"]["test"]) for name, metrics in metrics_by_method.items()},
        "cohort": {key: cohort_counts[key] for key in COHORT},
        "run": {key: run_facts[key] for key in RUN},
        "cost": cost,
    }


def _method(test: dict[str, Any]) -> dict[str, Any]:
    vertebra = test["vertebra"]
    figures = {
        "vertebra_auc": vertebra["auc"]["value"],
        "vertebra_auc_low": vertebra["auc"]["low"],
        "vertebra_auc_high": vertebra["auc"]["high"],
        "patient_auc": test["patient"]["auc"]["value"],
    }
    figures |= {
        f"patient_{name}{end.removeprefix('_value')}": test["patient"][name][end.removeprefix("_")]
        for name in PATIENT
        for end in ("_value", "_low", "_high")
    }
    figures |= {name: vertebra[name]["value"] for name in VERTEBRA}
    return figures | {f"{name}_by_{group}": cells for name in INTERVALS for group, cells in _groups(test, name).items()}


def _groups(test: dict[str, Any], name: str) -> dict[str, dict[str, float | None]]:
    """A figure of the intervals by true grade, by region and by slice thickness: those that have vertebrae."""
    grades = {str(grade): test["vertebra"][f"{name}_grade_{grade}"] for grade in GRADES}
    strata = {kind: {key: cell[name] for key, cell in test[f"by_{kind}"].items()} for kind in ("region", "thickness")}
    groups = {"grade": grades, **strata}
    return {group: {key: cell["value"] for key, cell in cells.items() if cell["n"]} for group, cells in groups.items()}
