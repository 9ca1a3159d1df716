"""The page of the cohort: one self-contained HTML file about what was graded, how well, and what was left out.

Images are data URIs and nothing is loaded from anywhere, so that the page can be mailed and archived. All text passes
through jinja2's autoescape: a reason or fact that looks like HTML is shown, not run.
"""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vertegrade.evaluation.texts import estimate_text
from vertegrade.methods import METHODS
from vertegrade.plotting import NOTICE
from vertegrade.reasons import FLAGS
from vertegrade.report.flow import flow_steps
from vertegrade.report.rival_table import rival_rows, rival_verdict
from vertegrade.report.strip_table import strip_rows
from vertegrade.report.templates import PHANTOM_FACT, templates
from vertegrade.vertebra_reasons import VERTEBRA_FLAGS

Metrics = dict[str, dict[str, Any]]

MEDIA_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}

# Key figures: level, metric, name, what it says.
KEY_FIGURES = [
    ("vertebra", "auc", "ROC AUC, vertebrae", "how often a fractured vertebra scores higher than a healthy one"),
    ("patient", "auc", "ROC AUC, patients", "the same for patients, by their most severe vertebra"),
    ("vertebra", "pr_auc", "PR AUC, vertebrae", "average precision; chance reaches the prevalence"),
    ("vertebra", "sensitivity", "Sensitivity, vertebrae", "fractures graded as such, by limits of training data"),
    ("vertebra", "specificity", "Specificity, vertebrae", "healthy vertebrae that were not"),
    (
        "patient",
        "sensitivity",
        "Sensitivity, patients",
        "patients with a fracture who were called, by a limit of training patients",
    ),
    ("patient", "specificity", "Specificity, patients", "patients without a fracture who were not"),
    ("vertebra", "macro_f1", "Macro-F1, grades 0–3", "mean F1 of the grades, each grade counting the same"),
    ("vertebra", "qwk", "Weighted κ, grades 0–3", "agreement of grades beyond chance, quadratic weights"),
    ("vertebra", "mae", "Mean absolute error", "of the continuous severity, in Genant grades"),
    ("vertebra", "spearman_height_loss", "Spearman with height loss", "among true fractures of known height loss"),
    ("vertebra", "interval_coverage", "Interval coverage", "true grade inside the predicted interval"),
    (
        "vertebra",
        "interval_width",
        "Interval width",
        "mean, in Genant grades from 0 to 3; coverage is worth little if this is wide",
    ),
    ("vertebra", "non_evaluable_rate", "Not evaluable, vertebrae", "labelled vertebrae that got no grade"),
    ("patient", "non_evaluable_rate", "Not evaluable, patients", "labelled patients without any graded vertebra"),
]
CALIBRATION = [
    ("vertebra", "calibration_slope", "Slope", "1 is ideal; below 1 the probabilities are too extreme"),
    ("vertebra", "calibration_intercept", "In the large", "0 is ideal; below 0 it predicts too many fractures"),
    ("vertebra", "brier", "Brier score", "mean squared error of the probability; 0 is best"),
    ("patient", "calibration_slope", "Slope, patients", "of the probability that a patient has any fracture"),
    ("patient", "calibration_intercept", "In the large, patients", "as above"),
    ("patient", "brier", "Brier score, patients", "as above"),
    ("patient", "ece", "Expected calibration error, patients", "mean distance from the diagonal, five bins"),
]
OVERFIT = [("auc", "ROC AUC"), ("macro_f1", "Macro-F1"), ("mae", "Mean absolute error"), ("brier", "Brier score")]
STRATA = [("by_shape", "Shape"), ("by_region", "Region"), ("by_level", "Level"), ("by_thickness", "Slice thickness")]
STRATUM_COLUMNS = [("auc", "ROC AUC"), ("sensitivity", "Sensitivity"), ("specificity", "Specificity")]
STRATUM_COLUMNS += [("mean_error", "Mean error"), ("interval_coverage", "Interval coverage")]
NOT_OF_SHAPES = ("specificity", "interval_coverage")


class PageError(ValueError):
    """The parts of the page contradict each other."""


def cohort_page(
    metrics: Metrics,
    flow: dict[str, Any],
    figures: dict[str, Path],
    facts: dict[str, str],
    differences: Sequence[dict[str, Any]] = (),
    phantom: bool = False,
    cost: dict[str, Any] | None = None,
    applied: Sequence[dict[str, Any]] = (),
    counterfactuals: dict[str, Any] | None = None,
    rivals: dict[str, Any] | None = None,
    looked: dict[str, Any] | None = None,
    charts: dict[str, Any] | None = None,
) -> str:
    """The page as HTML.

    metrics: by method what `evaluate` returned, the main method first. flow: `cohort_flow` of that method.
    figures: image files (.svg, .png) by name: roc, pr, calibration, confusion, height_loss, levels, montage,
    counterfactuals, looks_at, rivals; a missing one leaves its section out. facts: what was run, shown unchanged and in
    their order. differences: `compare` of each method that has a baseline. phantom: whether the cohort is the embedded
    one. cost: that of summary.json. applied: `applied_run` of each run that graded other scans by this model.
    counterfactuals: metrics.json of the pictures at other grades. looked: `looks_at_texts`. rivals: rivals.json beside
    the pictures. charts: `charts_section`. Raises PageError when flow and metrics count different vertebrae.
    """
    main = next(iter(metrics.values()))
    counted = flow["splits"]["test"]["vertebrae"]["evaluated"]
    evaluated = main["splits"]["test"]["counts"]["vertebrae_evaluated"]
    if counted != evaluated:
        raise PageError(f"the flow has {counted} evaluated test vertebrae, the metrics {evaluated}: run evaluate again")
    return (
        templates()
        .get_template("cohort_page.html.j2")
        .render(
            notice=NOTICE,
            phantom_fact=PHANTOM_FACT if phantom else "",
            main=main,
            methods=[METHODS[method].label for method in metrics],
            test=main["splits"]["test"],
            key_figures=_figure_rows(KEY_FIGURES, metrics, differences),
            calibration=_figure_rows(CALIBRATION, metrics),
            recalls=_of_grades(metrics, "recall"),
            coverages=_of_grades(metrics, "interval_coverage"),
            widths=_of_grades(metrics, "interval_width"),
            strata=[_stratum_table(metrics, kind, title) for kind, title in STRATA],
            overfit=_overfit(metrics),
            flow=flow,
            steps=flow_steps(flow),
            flags=[row | {"meaning": (FLAGS | VERTEBRA_FLAGS)[row["flag"]]} for row in flow["flags"]],
            images={name: data_uri(path) for name, path in figures.items()},
            facts=facts,
            taken=_taken(cost) if cost else [],
            assumed=cost["assumed"] if cost else {},
            applied=applied,
            strips=strip_rows(counterfactuals) if counterfactuals else [],
            drawn=counterfactuals,
            rivals=rival_rows(rivals) if rivals else [],
            verdict=rival_verdict(rivals) if rivals else "",
            looked=looked,
            charts=charts,
            pairs=[" − ".join(METHODS[method].label for method in pair["methods"]) for pair in differences],
            abouts={METHODS[method].label: METHODS[method].about for method in metrics},
            estimate_text=estimate_text,
        )
    )


def data_uri(path: Path) -> str:
    """An image file as data URI."""
    return f"data:{MEDIA_TYPES[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"


def _test(block: dict[str, Any], level: str, metric: str) -> dict[str, Any]:
    cell: dict[str, Any] = block["splits"]["test"][level][metric]
    return cell


def _figure_rows(
    listed: list[tuple[str, str, str, str]], metrics: Metrics, differences: Sequence[dict[str, Any]] = ()
) -> list[dict[str, Any]]:
    rows = []
    for level, metric, name, meaning in listed:
        cells = [_test(block, level, metric) for block in metrics.values()]
        row = {
            "name": name,
            "meaning": meaning,
            "n": cells[0]["n"],
            "cells": [estimate_text(cell, 3) for cell in cells],
            "differences": [_difference(pair[level][metric]) for pair in differences],
        }
        rows.append(row)
    return rows


def _difference(cell: dict[str, Any]) -> str:
    """Signed, with its interval."""
    if cell["value"] is None:
        return "n/a"
    text = f"{cell['value']:+.3f}"
    if cell["low"] is not None:
        text += f" ({cell['low']:+.3f} to {cell['high']:+.3f})"
    return text.replace("-", "−")


def _of_grades(metrics: Metrics, name: str) -> list[dict[str, Any]]:
    """A figure by true grade, of each method."""
    rows = []
    for grade in range(4):
        cells = [_test(block, "vertebra", f"{name}_grade_{grade}") for block in metrics.values()]
        rows.append({"name": f"Grade {grade}", "n": cells[0]["n"], "cells": [estimate_text(cell) for cell in cells]})
    return rows


def _stratum_table(metrics: Metrics, kind: str, title: str) -> dict[str, Any]:
    """Rows are the strata of the main method: its detection metrics, then the AUC of the other methods."""
    columns = [(method, *column) for method in metrics for column in STRATUM_COLUMNS]
    main = next(iter(metrics))
    columns = [(method, metric, name) for method, metric, name in columns if method == main or metric == "auc"]
    if kind == "by_shape":
        columns = [column for column in columns if column[1] not in NOT_OF_SHAPES]
    blocks = {method: block["splits"]["test"][kind] for method, block in metrics.items()}
    rows = []
    for stratum, numbers in blocks[main].items():
        present = [(blocks[method].get(stratum), metric) for method, metric, _ in columns]
        texts = [estimate_text(numbers[metric]) if numbers else "n/a" for numbers, metric in present]
        rows.append({"name": stratum, "counts": numbers["counts"], "cells": texts})
    return {"title": title, "heads": [f"{METHODS[method].label}: {name}" for method, _, name in columns], "rows": rows}


def _overfit(metrics: Metrics) -> list[dict[str, Any]]:
    """Vertebra-level metrics of the splits side by side: a test result far below training is over-fitting."""
    rows = []
    for method, block in metrics.items():
        for metric, name in OVERFIT:
            cells = [estimate_text(block["splits"][s]["vertebra"][metric], 3) for s in ("train", "validation", "test")]
            rows.append({"name": f"{METHODS[method].label}: {name}", "cells": cells})
    return rows


def _taken(cost: dict[str, Any]) -> list[dict[str, Any]]:
    """What each rule took, the dearest first, then all of them, and a scan's share."""
    rules = sorted(cost["rules"].items(), key=lambda rule: -rule[1]["energy_kwh"])
    rows = [*rules, ("All", cost["total"])]
    if cost["per_scan"]:
        rows.append(("All, for each scan", cost["per_scan"]))
    shown = []
    for name, used in rows:
        jobs, memory = used.get("jobs", ""), used.get("peak_memory_mb")
        hours = [_amount(used[key]) for key in ("cpu_h", "gpu_h")]
        cells = [jobs, *hours, "" if memory is None else f"{memory:.0f}", _amount(1000 * used["energy_kwh"])]
        shown.append({"name": name, "cells": cells})
    return shown


def _amount(value: float) -> str:
    """Two digits or all whole ones, and never an exponent."""
    if value == 0:
        return "0"
    if value < 0.001:
        return "< 0.001"
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"
