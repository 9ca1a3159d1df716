"""Figures of benchmarks/ablation.py as Markdown."""

from typing import Any

import numpy as np

from ablation_variants import BASELINES, BY_NAME
from vertegrade.evaluation.texts import estimate_text
from vertegrade.plotting import NOTICE

GRADING = {"auc": "AUC", "spearman": "Spearman", "macro_f1": "macro-F1"}
PICTURES = {
    "within_8_points": ("within 8 points", 2),
    "severity_gap": ("severity, mean difference", 2),
    "copy_error_hu": ("copy, HU", 0),
    "return_error_hu": ("moved back, HU", 0),
    "outside_to_inside": ("outside / inside", 2),
}
FACTS = {"order_right": "order right", "reached_40_percent": "40 % or more at grade 3"}


def page(figures: dict[str, Any]) -> str:
    """All tables. A difference is the DAE less the other, **bold** where its interval has one sign."""
    test = figures["test"]
    parts = [
        f"**{NOTICE}.** Phantoms: {test['vertebrae']} test vertebrae of {test['patients']} patients; "
        f"{figures['steps']} steps, {figures['precision']}.",
        *(_grading(figures[f"grading_{share}"], share) for share in (100, 10)),
    ]
    if "pictures" in figures:
        parts.append(_pictures(figures))
    return "\n\n".join([*parts, _trainings(figures["trainings"])]) + "\n"


def in_order(found: dict[str, Any]) -> list[tuple[str, Any]]:
    """By method as ablation_variants.py lists them, and the baselines last."""
    order = [*BY_NAME, *BASELINES]
    return sorted(found.items(), key=lambda item: (order.index(item[0].partition(", ")[0]), item[0]))


def label_of(name: str) -> str:
    """A method's name for people."""
    own, _, head = name.partition(", ")
    return (BASELINES.get(own) or BY_NAME[own].label) + (", graded by its own head" if head else "")


def _grading(found: dict[str, Any], share: int) -> str:
    rows = [
        [
            label_of(name),
            str(len(of["seeds"])),
            *(f"{estimate_text(of['mean'][m], 3)}{_spread(of, m)}" for m in GRADING),
        ]
        for name, of in in_order(found)
    ]
    return "\n\n".join(
        [
            f"## Grades by {share} % of the labelled patients",
            "Mean over seeds (95 % interval of patients), lowest to highest seed:",
            table(["", "seeds", *GRADING.values()], rows),
            "The DAE less the other (95 % interval of patients, paired):",
            table(["", "seeds", *GRADING.values()], _less(found, dict.fromkeys(GRADING, 3))),
        ]
    )


def _pictures(figures: dict[str, Any]) -> str:
    found, facts = figures["pictures"], figures["picture_facts"]
    labels = [label for label, _ in PICTURES.values()]
    rows = []
    for name, of in in_order(found):
        mean = [estimate_text(of["mean"][metric], digits) for metric, (_, digits) in PICTURES.items()]
        shares = [f"{np.mean([fact[metric] for fact in facts[name]]):.2f}" for metric in FACTS]
        fine = np.mean([fact["fine_structure"]["pictures"] / fact["fine_structure"]["ct"] for fact in facts[name]])
        ways = sorted({f"{steps} to {lowest}" for steps, lowest in (fact["way"] for fact in facts[name])})
        way = "one" if name in BY_NAME and BY_NAME[name].kind == "autoencoder" else ", ".join(ways)
        rows.append([label_of(name), str(len(of["seeds"])), *mean, *shares, f"{fine:.0%}", way])
    digits = {metric: max(places, 1) for metric, (_, places) in PICTURES.items()}
    return "\n\n".join(
        [
            "## Pictures at grades 1 to 3",
            f"{facts[next(iter(facts))][0]['vertebrae']} test vertebrae, mean over seeds (95 % interval of patients):",
            table(["", "seeds", *labels, *FACTS.values(), "fine structure", "DDIM steps, to level"], rows),
            "The DAE less the other (95 % interval of patients, paired):",
            table(["", "seeds", *labels], _less(found, digits)),
        ]
    )


def _less(found: dict[str, Any], digits: dict[str, int]) -> list[list[str]]:
    return [
        [
            label_of(name),
            str(len(of["seeds_of_less"])),
            *(_marked(of["less"][metric], places) for metric, places in digits.items()),
        ]
        for name, of in in_order(found)
        if of["less"]
    ]


def _marked(cell: dict[str, Any], digits: int) -> str:
    text = estimate_text(cell, digits)
    return f"**{text}**" if cell["low"] is not None and cell["low"] * cell["high"] > 0 else text


def _spread(of: dict[str, Any], metric: str) -> str:
    values = [seed[metric] for seed in of["seeds"].values()]
    return f", {min(values):.3f} to {max(values):.3f}" if len(values) > 1 else ""


def _trainings(trainings: dict[str, Any]) -> str:
    rows = []
    for name, seeds in in_order(trainings):
        first = seeds[0]
        seconds = np.mean([seed.get("seconds", 0.0) for seed in seeds])
        crops = ", ".join(f"{count:.0f}" for count in sorted({seed["crops"] for seed in seeds}))
        rows.append([label_of(name), f"{first['parameters'] / 1e6:.2f}", crops, f"{seconds:.0f}"])
    heads = ["", "million parameters", "crops learned from", "s, mean"]
    return "\n\n".join(["## Trainings", table(heads, rows)])


def table(heads: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in (heads, ["---"] * len(heads), *rows))
