"""<results>/summary.json: the few figures that other programs rely on, described in docs/reference/summary.md."""

from typing import Any

VERTEBRA = ["sensitivity", "specificity", "macro_f1", "qwk", "mae", "spearman_height_loss", "interval_coverage"]
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


def _method(test: dict[str, Any]) -> dict[str, float | None]:
    vertebra = test["vertebra"]
    figures = {
        "vertebra_auc": vertebra["auc"]["value"],
        "vertebra_auc_low": vertebra["auc"]["low"],
        "vertebra_auc_high": vertebra["auc"]["high"],
        "patient_auc": test["patient"]["auc"]["value"],
    }
    return figures | {name: vertebra[name]["value"] for name in VERTEBRA}
