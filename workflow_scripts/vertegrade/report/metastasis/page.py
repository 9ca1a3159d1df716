"""The page of bone quality: one self-contained HTML file."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vertegrade.evaluation.texts import estimate_text
from vertegrade.metastasis.classes import (
    BASELINE,
    CLASSES,
    INVOLVED,
    MULTITASK,
    NETWORKS,
    PHANTOM_NOTICE,
    REASONS,
)
from vertegrade.plotting import NOTICE
from vertegrade.report.templates import templates

FIGURES = {
    "sensitivity": "Sensitivity, as classed",
    "specificity": "Specificity, as classed",
    "sensitivity_at": "Sensitivity at the wanted specificity",
    "specificity_at": "Specificity that was reached there",
    "auc": "AUC against the other classes",
    "precision": "Precision",
    "f1": "F1",
}
MACRO = {
    "macro_sensitivity": "Sensitivity (balanced accuracy)",
    "macro_sensitivity_at": "Sensitivity at the wanted specificity",
    "macro_auc": "AUC",
    "macro_f1": "F1",
    "accuracy": "Accuracy",
}


@dataclass(frozen=True)
class Example:
    """A vertebra to be shown: its name, its picture as data URI, what is true and what each network answers."""

    title: str
    picture: str
    truth: str
    answers: dict[str, str]


def bone_quality_page(
    metrics: Mapping[str, Any],
    training: Mapping[str, Mapping[str, float]],
    examples: list[Example],
    scans: Mapping[str, int],
    drawn: bool,
) -> str:
    """The page as HTML.

    metrics: metrics.json. training: training.json of each network. scans: how many are in each state. drawn: whether
    lesions are PHANTOM lesions.
    """
    return (
        templates(Path(__file__).parent)
        .get_template("page.html.j2")
        .render(
            notice=NOTICE,
            phantom_notice=PHANTOM_NOTICE if drawn else "",
            drawn=drawn,
            metrics=metrics,
            networks=NETWORKS,
            training=training,
            made_by={network: _made_by(figures) for network, figures in training.items()},
            scans=scans,
            levels=[
                {
                    "name": level,
                    "classes": [_class_block(block, name) for name in CLASSES],
                    "macro": [_row(block, title, key) for key, title in MACRO.items()],
                    "counts": block["counts"],
                    "confusion": block["confusion"],
                    "sides": _side_rows(block),
                    "notes": _notes(level, block, training[MULTITASK], drawn),
                }
                for level, block in metrics["levels"].items()
            ],
            classes=CLASSES,
            reasons=REASONS,
            examples=examples,
            specificity=f"{100 * metrics['specificity']:g} %",
            confidence=f"{100 * metrics['confidence']:g}",
        )
    )


def _class_block(block: Mapping[str, Any], name: str) -> dict[str, Any]:
    rows = [_row(block, title, f"{name}_{figure}") for figure, title in FIGURES.items()]
    return {"name": name, "count": block["counts"][name], "rows": rows}


def _row(block: Mapping[str, Any], title: str, key: str) -> dict[str, Any]:
    """A figure of both networks, and their difference in points of the same unit."""
    cells = [estimate_text(block["networks"][network][key]) for network in (MULTITASK, BASELINE)]
    return {"name": title, "cells": [*cells, estimate_text(block["differences"][key])]}


def _side_rows(block: Mapping[str, Any]) -> list[dict[str, Any]]:
    figures = block["posterolateral"]
    if not figures["macro_f1"]["n"] or len(_present(block["sides"])) < 2:
        return []
    rows = [
        {"name": name, "cells": [estimate_text(figures[f"{name}_{part}"]) for part in ("sensitivity", "specificity")]}
        for name in INVOLVED
    ]
    return [*rows, {"name": "Macro-F1", "cells": [estimate_text(figures["macro_f1"]), ""]}]


def _present(counts: Mapping[str, int]) -> list[str]:
    return [name for name, count in counts.items() if count]


def _made_by(training: Mapping[str, float]) -> str:
    """What makes the four classes of a network."""
    if training["tasks"] == 1:
        return "a softmax over the four classes"
    fused = any(value for name, value in training.items() if name.startswith("fused_"))
    return "an MLP that combines its two answers" if fused else "the product of its two answers"


def _notes(level: str, block: Mapping[str, Any], training: Mapping[str, float], drawn: bool) -> list[str]:
    """Why some figures of a level are not given, in words. training: of the network of two tasks."""
    notes, present, sides = [], _present(block["counts"]), _present(block["sides"])
    if len(present) < len(CLASSES):
        missing = " or ".join(name for name in CLASSES if name not in present)
        notes.append(f"No means over the classes: none of the test {level} is known to be {missing}.")
        if level == "slices" and not drawn:
            notes.append(
                "Labels are of vertebrae: nobody knows which slices of an ill vertebra show its lesion, so these "
                "slices are not counted."
            )
    if training.get(f"fused_{level}") == 0:
        notes.append(
            f"The network has no MLP of {level}: a class is missing among those that it would learn from. Classes of "
            f"{level} are the product of the two answers."
        )
    if not training["learned_sides"]:
        notes.append(
            "The network says nothing of posterolateral involvement: it was left out by a setting, or the training "
            "vertebrae have known involvement of one kind at most."
        )
    elif len(sides) < 2:
        known = f'known as "{sides[0]}" alone' if sides else "not known"
        notes.append(f"No figures of posterolateral involvement: of the test {level} it is {known}.")
    return notes
