"""Whether drawn vertebrae look more like CT than bent crops, as a table and a sentence for people."""

from typing import Any

from vertegrade.evaluation.texts import estimate_text

LABELS = {"dae": "Drawn by the model", "warp": "The crop, bent"}
GROUPS = ("intact", "fractured")  # pictures at grade 0, and at grades 1 to 3


def rival_rows(figures: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of counterfactual/rivals.json by kind of picture: error of the losses, and ROC AUC of each classifier."""
    rows = []
    for kind, label in LABELS.items():
        of = figures[kind]
        told = [of["told_from_ct"][group] for group in GROUPS]
        cells = [estimate_text(t[by]) if by in t else "n/a" for t in told for by in ("texture", "picture")]
        error = "n/a" if of["loss_error"] is None else f"{100 * of['loss_error']:.1f} points"
        rows.append({"name": label, "cells": [error, *cells]})
    return rows


def rival_verdict(figures: dict[str, Any]) -> str:
    """Which kind of picture looks more like CT, in a sentence; "" where too few patients have one."""
    scores = {kind: _told(figures[kind]["told_from_ct"]["fractured"]) for kind in LABELS}
    drawn, bent = scores["dae"], scores["warp"]
    if not drawn or not bent:
        return ""
    if drawn[0] > bent[1]:
        return "The model’s pictures look less like CT than the bent crops: classifiers tell them from CT more easily."
    if drawn[1] < bent[0]:
        return "The model’s pictures look more like CT than the bent crops: classifiers tell them from CT less easily."
    return "Neither kind of picture is shown to look more like CT: the intervals of the classifiers overlap."


def _told(figures: dict[str, Any]) -> tuple[float, float] | None:
    """Interval of the better of two classifiers, as that is what a careful eye could see; a point where all is told."""
    found = [figures[by] for by in ("texture", "picture") if by in figures and figures[by]["value"] is not None]
    if not found:
        return None
    best = max(found, key=lambda estimate: float(estimate["value"]))
    low, high = (best["value"] if best[end] is None else best[end] for end in ("low", "high"))
    return float(low), float(high)
