"""How well bone quality is told: by class, of vertebrae and slices, for both networks, with intervals over patients.

A sensitivity stands beside its specificity everywhere. Sensitivities at one specificity have thresholds from validation
patients; the test patients choose nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vertegrade.arrays import Floats
from vertegrade.evaluation.bootstrap import Metric, estimate
from vertegrade.evaluation.metrics import auc, confusion, macro_f1, mean, ratio, share
from vertegrade.metastasis.classes import BASELINE, CLASSES, INVOLVED, MULTITASK, NETWORKS, bone_class
from vertegrade.settings.evaluation import EvaluationSettings
from vertegrade.tables import KEY

LEVELS = ("vertebrae", "slices")
SCORES = [f"p_class_{name}" for name in CLASSES]
SIDE_SCORES = [f"p_{name.replace(' ', '_')}" for name in INVOLVED]


class Found(NamedTuple):
    """What a network says of the test cases: class, scores of all classes (N, 4); thresholds by class (NaN: none)."""

    classes: NDArray[np.int64]
    scores: Floats
    thresholds: Floats


def bone_metrics(
    labels: pd.DataFrame,
    known: pd.DataFrame,
    predictions: Mapping[str, pd.DataFrame],
    slices: Mapping[str, pd.DataFrame],
    settings: EvaluationSettings,
    specificity: float,
    seed: int,
) -> dict[str, Any]:
    """All figures. labels, known: BONE_LABELS and BONE_SLICES; predictions, slices: of each network.

    `levels` has by level `counts`, the figures of each network, their `differences` (two tasks minus baseline, on the
    same cases) and the confusion; `posterolateral` is of the network of two tasks, `sides` counts the cases of which
    involvement is known. Means over classes are null unless all classes are there: of one class alone, a network that
    always says it would have 1.00.
    """
    usable = labels[labels["usable"]]
    of_slices = known.merge(usable[[*KEY, "split"]], on=KEY)
    of_slices = of_slices.assign(
        bone_class=[bone_class(*pair) for pair in of_slices[["blastic", "lytic"]].itertuples(index=False, name=None)]
    )
    tables = {"vertebrae": (usable, predictions, KEY), "slices": (of_slices, slices, [*KEY, "slice"])}
    return {
        "source": sorted(set(labels["source"])),
        "specificity": specificity,
        "confidence": settings.confidence,
        "patients": {split: int(part["patient_id"].nunique()) for split, part in usable.groupby("split")},
        "left_out": {str(reason): int(count) for reason, count in labels["reason"].value_counts().items() if reason},
        "levels": {level: _level(*tables[level], settings, specificity, seed) for level in LEVELS},
    }


def _level(
    truth: pd.DataFrame,
    predictions: Mapping[str, pd.DataFrame],
    key: list[str],
    settings: EvaluationSettings,
    specificity: float,
    seed: int,
) -> dict[str, Any]:
    named = truth[truth["bone_class"] != ""].sort_values(key)
    cases = {name: named.merge(predictions[name], on=key, suffixes=("", "_found")) for name in NETWORKS}
    if any(len(found) < len(named) for found in cases.values()):
        raise ValueError("some labelled vertebrae have no prediction; run predict_bone_quality again")
    test = {name: found[found["split"] == "test"] for name, found in cases.items()}
    true = _numbers(test[MULTITASK]["bone_class"])
    patient = np.unique(test[MULTITASK]["patient_id"].to_numpy(str), return_inverse=True)[1].astype(np.int64)
    found = {
        name: Found(
            _numbers(test[name]["bone_class_found"]),
            test[name][SCORES].to_numpy(np.float64),
            _thresholds(cases[name][cases[name]["split"] == "validation"], specificity),
        )
        for name in NETWORKS
    }
    both = (found[MULTITASK], found[BASELINE])
    sides = test[MULTITASK]["posterolateral"]

    def differences(weights: Floats) -> dict[str, Metric]:
        one, other = (_figures(true, each, weights) for each in both)
        return {name: Metric(one[name].values - other[name].values, one[name].cases) for name in one}

    figures = {
        name: estimate(lambda weights, of=of: _figures(true, of, weights), patient, settings, seed)  # type: ignore[misc]
        for name, of in found.items()
    }
    return {
        "counts": {name: int((true == number).sum()) for number, name in enumerate(CLASSES)},
        "networks": figures,
        "differences": estimate(differences, patient, settings, seed),
        "confusion": {name: _counts(true, of.classes).astype(int).tolist() for name, of in found.items()},
        "sides": {name: int((sides == number).sum()) for number, name in enumerate(INVOLVED)},
        "posterolateral": _sides(test[MULTITASK], settings, seed),
    }


def _figures(true: NDArray[np.int64], found: Found, weights: Floats) -> dict[str, Metric]:
    """Figures of each class against all others, and of all classes together where none is missing."""
    figures: dict[str, Metric] = {}
    for number, name in enumerate(CLASSES):
        positive, called = true == number, found.classes == number
        cases = (int(positive.sum()), int((~positive).sum()))
        score, threshold = found.scores[:, number], found.thresholds[number]
        of_called = share(positive, called, weights)
        sensitivity = share(called, positive, weights)
        each = {
            "sensitivity": sensitivity,
            "specificity": share(~called, ~positive, weights),
            "precision": of_called,
            "f1": _f1(positive, called, weights),
            "auc": auc(score, positive, weights),
            "sensitivity_at": share(score > threshold, positive, weights),
            "specificity_at": share(score <= threshold, ~positive, weights),
        }
        if np.isnan(threshold):
            each |= dict.fromkeys(("sensitivity_at", "specificity_at"), np.full(len(weights), np.nan))
        figures |= {f"{name}_{figure}": Metric(values, cases) for figure, values in each.items()}
    for figure in ("sensitivity", "auc", "sensitivity_at"):
        of = [figures[f"{name}_{figure}"] for name in CLASSES]
        values = np.mean([metric.values for metric in of], axis=0)
        figures[f"macro_{figure}"] = Metric(values, tuple(metric.cases[0] for metric in of))
    together = {
        "macro_f1": macro_f1(confusion(true, found.classes, weights)),
        "accuracy": mean((true == found.classes).astype(float), weights),
    }
    return figures | {name: _of_all(values, true, len(CLASSES)) for name, values in together.items()}


def _of_all(values: Floats, true: NDArray[np.int64], classes: int) -> Metric:
    """A figure of all classes together: undefined where one of them has no case."""
    everywhere = len(np.unique(true)) == classes
    return Metric(values if everywhere else np.full(len(values), np.nan), (len(true),))


def _f1(positive: NDArray[np.bool_], called: NDArray[np.bool_], weights: Floats) -> Floats:
    both, either = weights @ (positive & called).astype(float), weights @ (positive.astype(float) + called)
    return ratio(2 * both, either)


def _thresholds(validation: pd.DataFrame, specificity: float) -> Floats:
    """Score of each class that at most a share 1 - specificity of the validation cases of other classes exceeds."""
    true, limits = _numbers(validation["bone_class"]), []
    for number, score in enumerate(SCORES):
        others = validation[score].to_numpy(np.float64)[true != number]
        limits.append(float(np.quantile(others, specificity, method="higher")) if len(others) else np.nan)
    return np.array(limits)


def _sides(test: pd.DataFrame, settings: EvaluationSettings, seed: int) -> dict[str, Any]:
    """Posterolateral involvement of the test cases of which it is known."""
    known = test[(test["posterolateral"] >= 0) & test[SIDE_SCORES[0]].notna()]
    true, found = known["posterolateral"].to_numpy(np.int64), known[SIDE_SCORES].to_numpy(np.float64)
    called = found.argmax(axis=1) if len(found) else np.zeros(0, np.int64)
    patient = np.unique(known["patient_id"].to_numpy(str), return_inverse=True)[1].astype(np.int64)

    def figures(weights: Floats) -> dict[str, Metric]:
        made = {"macro_f1": _of_all(macro_f1(confusion(true, called, weights)), true, len(INVOLVED))}
        for number, name in enumerate(INVOLVED):
            positive = true == number
            cases = (int(positive.sum()), int((~positive).sum()))
            made[f"{name}_sensitivity"] = Metric(share(called == number, positive, weights), cases)
            made[f"{name}_specificity"] = Metric(share(called != number, ~positive, weights), cases)
        return made

    return estimate(figures, patient, settings, seed)


def _numbers(names: pd.Series) -> NDArray[np.int64]:
    return np.array([CLASSES.index(name) for name in names], np.int64)


def _counts(true: NDArray[np.int64], called: NDArray[np.int64]) -> Floats:
    counts: Floats = confusion(true, called, np.ones((1, len(true))))[0]
    return counts


def metrics_table(metrics: Mapping[str, Any]) -> pd.DataFrame:
    """Long table: level, network (or `difference`), figure, value, low, high, n."""
    rows: list[Mapping[str, Any]] = []
    for level, block in metrics["levels"].items():
        groups: Sequence[tuple[str, Mapping[str, Any]]] = [
            *block["networks"].items(),
            ("difference", block["differences"]),
            ("posterolateral", block["posterolateral"]),
        ]
        rows += [
            {"level": level, "network": name, "figure": figure} | {k: cell[k] for k in ("value", "low", "high", "n")}
            for name, figures in groups
            for figure, cell in figures.items()
        ]
    return pd.DataFrame(rows)
