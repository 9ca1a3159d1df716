"""The page of the cohort: one self-contained HTML file about what was graded, how well, and what was left out.

Images are data URIs and nothing is loaded from anywhere, so that the page can be mailed and archived. All text passes
through jinja2's autoescape: a reason or fact that looks like HTML is shown, not run. No path and no message of a scan
is on the page, since both may name a person: scans have pseudonyms, and what went wrong is told by its code.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from vertegrade.evaluation.texts import estimate_text
from vertegrade.methods import METHODS
from vertegrade.plotting import NOTICE
from vertegrade.reasons import FLAGS
from vertegrade.report import headline
from vertegrade.report.data_uris import data_uri
from vertegrade.report.flow import flow_steps
from vertegrade.report.plain_words import plain, reason_text, remedy_text
from vertegrade.report.rival_table import rival_rows, rival_verdict
from vertegrade.report.strip_table import strip_rows
from vertegrade.report.subgroup_tables import FEWEST_PATIENTS, subgroup_tables
from vertegrade.report.templates import PHANTOM_FACT, templates
from vertegrade.vertebra_reasons import VERTEBRA_FLAGS

Metrics = dict[str, dict[str, Any]]

# Key figures: level, metric, name, what it says.
KEY_FIGURES = [
    ("vertebra", "auc", "ROC AUC, vertebrae", "how often a fractured vertebra scores higher than a healthy one"),
    ("patient", "auc", "ROC AUC, patients", "the same for patients, by their most severe vertebra"),
    ("vertebra", "pr_auc", "PR AUC, vertebrae", "average precision; chance reaches the prevalence"),
    (
        "vertebra",
        "sensitivity",
        "Sensitivity, vertebrae",
        "fractures graded as such, by limits set before the test",
    ),
    ("vertebra", "specificity", "Specificity, vertebrae", "healthy vertebrae that were not"),
    (
        "patient",
        "sensitivity",
        "Sensitivity, patients",
        "patients with a fracture who were called, by a limit set before the test",
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
STEPS = (
    ("Scans in the sample sheet", "scans", "in_sheet"),
    ("Scans converted", "scans", "converted"),
    ("Scans localized", "scans", "localized"),
    ("Vertebrae found", "vertebrae", "found"),
    ("Vertebrae with a usable crop", "vertebrae", "cropped"),
    ("Vertebrae graded", "vertebrae", "graded"),
    ("Graded and labelled", "vertebrae", "evaluated"),
)


class PageError(ValueError):
    """The parts of the page contradict each other."""


@dataclass(frozen=True)
class Vertebrae:
    """Single vertebrae of the test split, each list as `tiles` makes them.

    galleries: errors by method (`galleries`). montage, strips: the vertebrae of these pictures, in their order.
    """

    galleries: Sequence[dict[str, Any]] = ()
    montage: Sequence[dict[str, Any]] = ()
    strips: Sequence[dict[str, Any]] = ()


@dataclass(frozen=True)
class Paper:
    """What a paper on the run needs: sections of its methods, numbered references, and files beside the page."""

    sections: Sequence[tuple[str, Sequence[str]]] = ()
    references: Sequence[str] = ()
    files: Mapping[str, str] = field(default_factory=dict)


NO_VERTEBRAE, NO_PAPER = Vertebrae(), Paper()


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
    comparison: pd.DataFrame | None = None,
    coverage: float = 0.9,
    vertebrae: Vertebrae = NO_VERTEBRAE,
    paper: Paper = NO_PAPER,
) -> str:
    """The page as HTML.

    metrics: by method what `evaluate` returned, the main method first. flow: `cohort_flow` of that method.
    figures: image files (.svg, .png) by name: roc, pr, calibration, confusion, height_loss, levels, counterfactuals,
    looks_at, rivals; a missing one leaves its section out. facts: what was run, shown unchanged and in their order.
    differences: `compare` of each method that has a baseline. phantom: whether the cohort is the embedded one. cost:
    that of summary.json. applied: `applied_run` of each run that graded other scans by this model. counterfactuals:
    metrics.json of the pictures at other grades. looked: `looks_at_texts`. rivals: rivals.json beside the pictures.
    comparison: COMPARISON of all methods. coverage: of the intervals. charts: `charts_section`. Raises PageError when
    flow and metrics count different vertebrae.
    """
    main = next(iter(metrics.values()))
    counted = flow["splits"]["test"]["vertebrae"]["evaluated"]
    evaluated = main["splits"]["test"]["counts"]["vertebrae_evaluated"]
    if counted != evaluated:
        raise PageError(f"the flow has {counted} evaluated test vertebrae, the metrics {evaluated}: run evaluate again")
    labels = [METHODS[method].label for method in metrics]
    return (
        templates()
        .get_template("cohort_page.html.j2")
        .render(
            notice=NOTICE,
            phantom_fact=PHANTOM_FACT if phantom else "",
            main=main,
            methods=labels,
            trained=[METHODS[name].label for name in metrics if METHODS[name].scores],
            test=main["splits"]["test"],
            cards=headline.method_cards(metrics),
            trust="" if comparison is None else headline.trust(comparison, main["confidence"]),
            method_pairs=[] if comparison is None else headline.pair_rows(comparison),
            coverage=f"{100 * coverage:g}",
            key_figures=_figure_rows(KEY_FIGURES, metrics),
            calibration=_figure_rows(CALIBRATION, metrics, counted=False),
            differences=_difference_rows(differences),
            pairs=[" − ".join(METHODS[method].label for method in pair["methods"]) for pair in differences],
            of_grades=[
                (title, _of_grades(metrics, name))
                for title, name in (
                    ("Recall", "recall"),
                    ("Coverage of the intervals", "interval_coverage"),
                    ("Width of the intervals", "interval_width"),
                )
            ],
            strata=subgroup_tables(metrics),
            fewest=FEWEST_PATIENTS,
            overfit=_overfit(metrics),
            flow=flow,
            steps=flow_steps(flow),
            by_split=_by_split(flow),
            reasons=_reasons(flow, main["splits"]["test"]),
            reason_text=reason_text,
            remedy_text=remedy_text,
            flags=[_flag_row(row) for row in flow["flags"]],
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
            abouts={METHODS[method].label: METHODS[method].about for method in metrics},
            vertebrae=vertebrae,
            paper=paper,
            estimate_text=estimate_text,
        )
    )


def _test(block: dict[str, Any], level: str, metric: str) -> dict[str, Any]:
    cell: dict[str, Any] = block["splits"]["test"][level][metric]
    return cell


def _figure_rows(
    listed: list[tuple[str, str, str, str]], metrics: Metrics, counted: bool = True
) -> list[dict[str, Any]]:
    """Figures with what they mean; counted: with the number of cases of the first method."""
    rows = []
    for level, metric, name, meaning in listed:
        cells = [_test(block, level, metric) for block in metrics.values()]
        count = [str(cells[0]["n"])] if counted else []
        rows.append({"name": name, "meaning": meaning, "cells": [*count, *(estimate_text(cell, 3) for cell in cells)]})
    return rows


def _difference_rows(differences: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same figures as paired differences of each method from its baseline."""
    return [
        {"name": name, "cells": [headline.signed(pair[level][metric]) for pair in differences]}
        for level, metric, name, _ in KEY_FIGURES
    ]


def _by_split(flow: dict[str, Any]) -> list[dict[str, Any]]:
    """Patients, scans and vertebrae of all and of each split."""
    blocks = [flow["all"], *(flow["splits"][split] for split in ("train", "validation", "test"))]
    rows = [{"name": "Patients", "cells": [str(block["patients"]) for block in blocks]}]
    return rows + [{"name": name, "cells": [str(block[kind][key]) for block in blocks]} for name, kind, key in STEPS]


def _flag_row(row: dict[str, Any]) -> dict[str, Any]:
    meaning = plain((FLAGS | VERTEBRA_FLAGS)[row["flag"]])
    return {"name": row["flag"].replace("_", " "), "cells": [meaning, str(row["scans"]), str(row["vertebrae"])]}


def _reasons(flow: dict[str, Any], test: dict[str, Any]) -> list[dict[str, Any]]:
    """Every reason on the page with its meaning and what to do."""
    lost = {reason.split(" ")[0] for step in flow_steps(flow) for reason, _ in step["lost"]}
    lost |= {row["reason"] for row in flow["exclusions"]} | set(test["counts"]["not_evaluable"])
    known = {code: (reason_text(code), remedy_text(code)) for code in sorted(lost)}
    return [{"name": code.replace("_", " "), "cells": [*texts]} for code, texts in known.items() if texts[1]]


def _of_grades(metrics: Metrics, name: str) -> list[dict[str, Any]]:
    """A figure by true grade, of each method."""
    rows = []
    for grade in range(4):
        cells = [_test(block, "vertebra", f"{name}_grade_{grade}") for block in metrics.values()]
        rows.append({"name": f"Grade {grade}", "cells": [str(cells[0]["n"]), *map(estimate_text, cells)]})
    return rows


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
        jobs, memory = str(used.get("jobs", "")), used.get("peak_memory_mb")
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
