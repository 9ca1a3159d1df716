"""Intervals by bootstrap over patients: patients are drawn with replacement, each with all of their vertebrae.

Vertebrae of one patient share bone, scanner and reader, so drawing vertebrae one by one would give intervals that are
too narrow. A resample is a row of case weights, so that all resamples of a metric are computed at once (`metrics`).
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vertegrade.arrays import Floats
from vertegrade.settings.evaluation import EvaluationSettings

LARGEST_BLOCK = 1_000_000  # weights computed at once: keeps a block of float64 near 8 MB, inside a core's cache reach
LEAST_DEFINED = 0.8  # an interval from fewer of the resamples would describe the easy ones only


class Metric(NamedTuple):
    """A metric of B resamples, and the number of cases in the sample of each class that it needs."""

    values: Floats
    cases: tuple[int, ...]


Metrics = Callable[[Floats], dict[str, Metric]]
Estimate = dict[str, float | int | None]


def estimate(
    metrics: Metrics, patient: NDArray[np.int64], settings: EvaluationSettings, seed: int
) -> dict[str, Estimate]:
    """Value and percentile interval of each metric.

    metrics: from case weights `(B, N)` to named metrics. patient: `(N,)` patient of each case, as numbers.
    Returns for each name `value`, `low`, `high` (None where undefined), `n` (cases that enter) and `skipped` (resamples
    in which it was undefined). A value needs `minimum_cases` of each class. An interval needs 80 % of the resamples,
    and they must differ: where all agree (10 of 10 found) the bootstrap shows no uncertainty, so there is no interval.
    """
    once = metrics(np.ones((1, len(patient))))
    blocks: dict[str, list[Floats]] = {name: [] for name in once}
    for weights in _resamples(patient, settings.bootstrap_resamples, seed):
        for name, metric in metrics(weights).items():
            blocks[name].append(metric.values)
    return {name: _estimate(once[name], np.concatenate(blocks[name]), settings) for name in once}


def _resamples(patient: NDArray[np.int64], resamples: int, seed: int) -> Iterator[Floats]:
    """Case weights in blocks of rows; the same patients give the same resamples whatever the block size."""
    _, index = np.unique(patient, return_inverse=True)
    count = int(index.max(initial=-1)) + 1
    if not count:
        yield np.zeros((resamples, 0))
        return
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=resamples)
    rows = max(1, LARGEST_BLOCK // len(patient))
    for start in range(0, resamples, rows):
        yield drawn[start : start + rows, index].astype(float)


def _estimate(once: Metric, values: Floats, settings: EvaluationSettings) -> Estimate:
    defined = values[np.isfinite(values)]
    enough = min(once.cases) >= settings.minimum_cases and bool(np.isfinite(once.values[0]))
    result: Estimate = {"value": float(once.values[0]) if enough else None, "low": None, "high": None}
    if enough and len(defined) >= LEAST_DEFINED * len(values):
        tail = (1 - settings.confidence) / 2
        low, high = np.quantile(defined, [tail, 1 - tail])
        result |= {"low": float(low), "high": float(high)} if np.ptp(defined) > 0 else {}
    return result | {"n": sum(once.cases), "skipped": len(values) - len(defined)}
