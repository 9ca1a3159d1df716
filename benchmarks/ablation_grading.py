"""Grades of each variant of benchmarks/ablation.py by the product's code, and what they are worth.

Averages over seeds have intervals of resampled patients: they say how far other patients might change a figure, not how
far other seeds might.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from ablation_training import Run, Supervised, labels_of
from vertegrade.arrays import Floats
from vertegrade.cohort.splits import in_split
from vertegrade.evaluation.bootstrap import Estimate, Metric, Metrics, estimate
from vertegrade.evaluation.cases import patient_codes
from vertegrade.evaluation.metrics import auc, confusion, macro_f1, spearman
from vertegrade.files import write_json
from vertegrade.graders.dae.latents import dae_latents
from vertegrade.graders.dae.weights import Dae
from vertegrade.grading.calibration import calibrate
from vertegrade.grading.hyperplane import fit_hyperplane
from vertegrade.grading.prediction import predict
from vertegrade.settings.evaluation import EvaluationSettings
from vertegrade.settings.grading import GradingSettings
from vertegrade.tables import KEY, write_frame

EVERY = 0  # the seed of what no seed changes
Tables = dict[str, dict[int, pd.DataFrame]]  # by method and seed
GRADED = ["patient_id", *KEY, "severity", "grade"]
BATCH = 64
COVERAGE = 0.6  # of intervals, which nothing here shows: the less, the fewer patients a run needs


def latents_of(run: Run, dae: Dae) -> pd.DataFrame:
    """LATENTS of all crops of the run."""
    tables = [dae_latents(dae, crops, pixels, BATCH) for crops, pixels in zip(run.crops, run.pixels, strict=True)]
    return pd.concat(tables, ignore_index=True)


def grade_variant(run: Run, latents: pd.DataFrame, share: float, seed: int, stem: Path) -> None:
    """Fit hyperplane and calibrator, write both, and the grades of all evaluable vertebrae."""
    labels, settings = labels_of(run, share, seed), GradingSettings(coverage=COVERAGE)
    plane = fit_hyperplane(latents, labels, run.splits, settings, seed)
    calibration = calibrate(latents, labels, run.splits, plane, settings, seed)
    predictions = predict(latents, plane, calibration, run.splits, "ablation")
    write_json(stem.with_name(f"{stem.name}.hyperplane.json"), plane.to_dict())
    write_json(stem.with_name(f"{stem.name}.calibrator.json"), calibration.to_dict())
    write_frame(stem.with_name(f"{stem.name}.grades.parquet"), predictions.loc[predictions["evaluable"], GRADED])


def head_grades(dae: Dae, latents: pd.DataFrame) -> pd.DataFrame:
    """Grades by the supervised network's own head: expected grade, and the limits that are likely passed."""
    assert isinstance(dae.network, Supervised)
    rows = latents[latents["evaluable"]]
    with torch.inference_mode():
        logits = dae.network.head(torch.from_numpy(np.stack(rows["z"].to_numpy()).astype(np.float32)))
    above = torch.sigmoid(logits).double().numpy()
    return rows.assign(severity=above.sum(axis=1), grade=(above > 0.5).sum(axis=1))[GRADED]


def cases_of(run: Run, graded: Tables) -> Tables:
    """Labelled test vertebrae that all methods graded in all seeds, in one order, with what each said."""
    labels = run.labels[run.labels["usable"] & in_split(run.splits, run.labels["patient_id"], "test")]
    cases = labels[["patient_id", *KEY, "genant_grade", "height_loss"]].sort_values(["patient_id", *KEY])
    for tables in graded.values():
        for table in tables.values():
            cases = cases.merge(table[KEY], on=KEY)

    def said(table: pd.DataFrame) -> pd.DataFrame:
        return cases.merge(table[[*KEY, "severity", "grade"]], on=KEY, validate="one_to_one")

    return {name: {seed: said(table) for seed, table in tables.items()} for name, tables in graded.items()}


def grading_metrics(cases: pd.DataFrame) -> Metrics:
    """AUC of fractures, Spearman of severity with the true loss of fractured vertebrae, macro-F1 of four grades."""
    severity = cases["severity"].to_numpy(np.float64)
    true, said = (cases[name].to_numpy(np.int64) for name in ("genant_grade", "grade"))
    known = (true >= 1) & cases["height_loss"].notna().to_numpy()
    loss = cases["height_loss"].to_numpy(np.float64)[known]

    def metrics(weights: Floats) -> dict[str, Metric]:
        return {
            "auc": Metric(auc(severity, true >= 1, weights), (int((true >= 1).sum()), int((true < 1).sum()))),
            "spearman": Metric(spearman(severity[known], loss, weights[:, known]), (int(known.sum()),)),
            "macro_f1": Metric(macro_f1(confusion(true, said, weights)), (len(true),)),
        }

    return metrics


def mean_over(seeds: list[Metrics]) -> Metrics:
    """The mean of each metric over seeds, in every resample."""

    def metrics(weights: Floats) -> dict[str, Metric]:
        found = [of_seed(weights) for of_seed in seeds]
        return {
            name: Metric(np.mean([one[name].values for one in found], axis=0), first.cases)
            for name, first in found[0].items()
        }

    return metrics


def difference(first: Metrics, second: Metrics) -> Metrics:
    """First less second, in every resample."""

    def metrics(weights: Floats) -> dict[str, Metric]:
        other = second(weights)
        return {name: Metric(one.values - other[name].values, one.cases) for name, one in first(weights).items()}

    return metrics


def compared(tables: Tables, of: Callable[[pd.DataFrame], Metrics], first: str) -> dict[str, dict[str, Any]]:
    """For each method: `mean` over its seeds, `seeds` one by one, and `less`, the first method less this one.

    tables: rows in the same order for all. A difference is over the seeds that both have; a method with the one seed
    EVERY has no training that a seed could change, and is compared with all.
    """
    settings, found = EvaluationSettings(), {}
    metrics = {name: {seed: of(table) for seed, table in seeds.items()} for name, seeds in tables.items()}
    patients = patient_codes(next(iter(tables[first].values())))
    for name, seeds in metrics.items():
        once = {
            str(seed): {metric: float(one.values[0]) for metric, one in seeds[seed](_ones(table)).items()}
            for seed, table in tables[name].items()
        }
        both = [*metrics[first]] if EVERY in seeds else [seed for seed in metrics[first] if seed in seeds]
        less: dict[str, Estimate] = {}
        if name != first and both:
            own = mean_over([metrics[first][seed] for seed in both])
            other = mean_over([seeds[EVERY if EVERY in seeds else seed] for seed in both])
            less = estimate(difference(own, other), patients, settings, 0)
        found[name] = {
            "mean": estimate(mean_over([*seeds.values()]), patients, settings, 0),
            "seeds": once,
            "less": less,
            "seeds_of_less": both if less else [],
        }
    return found


def _ones(table: pd.DataFrame) -> Floats:
    return np.ones((1, len(table)))
