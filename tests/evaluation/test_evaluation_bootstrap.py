"""Intervals: over patients, deterministic, honest about resamples that say nothing."""

import numpy as np
import pytest

from vertegrade.evaluation import bootstrap
from vertegrade.evaluation.bootstrap import Metric, estimate
from vertegrade.evaluation.metrics import auc, mean
from vertegrade.settings.evaluation import EvaluationSettings

SETTINGS = EvaluationSettings(bootstrap_resamples=500)


def _mean_of(values):
    return lambda weights: {"mean": Metric(mean(values, weights), (len(values),))}


def test_the_interval_of_a_mean_is_the_textbooks():
    values = np.random.default_rng(0).normal(5, 2, 400)
    result = estimate(_mean_of(values), np.arange(400), EvaluationSettings(bootstrap_resamples=4000), 1)["mean"]
    half = 1.96 * values.std() / 20
    assert result["value"] == pytest.approx(values.mean())
    assert result["low"] == pytest.approx(values.mean() - half, abs=0.02)
    assert result["high"] == pytest.approx(values.mean() + half, abs=0.02)


def test_repeating_each_vertebra_within_its_patient_does_not_narrow_the_interval():
    values = np.random.default_rng(0).normal(0, 1, 50)
    once = estimate(_mean_of(values), np.arange(50), SETTINGS, 1)["mean"]
    tenfold = estimate(_mean_of(np.repeat(values, 10)), np.repeat(np.arange(50), 10), SETTINGS, 1)["mean"]
    assert tenfold["low"] == pytest.approx(once["low"])
    assert tenfold["high"] == pytest.approx(once["high"])


def test_the_same_seed_gives_the_same_interval_whatever_the_block_size(monkeypatch):
    values = np.random.default_rng(0).normal(0, 1, 60)
    whole = estimate(_mean_of(values), np.arange(60), SETTINGS, 1)
    monkeypatch.setattr(bootstrap, "LARGEST_BLOCK", 600)
    assert estimate(_mean_of(values), np.arange(60), SETTINGS, 1) == whole
    assert estimate(_mean_of(values), np.arange(60), SETTINGS, 2) != whole


def test_resamples_of_one_class_are_skipped_and_counted():
    score, positive = np.linspace(0, 1, 12), np.arange(12) >= 10
    result = estimate(
        lambda weights: {"auc": Metric(auc(score, positive, weights), (2, 10))},
        np.arange(12),
        SETTINGS.model_copy(update={"minimum_cases": 1}),
        1,
    )["auc"]
    assert 0.05 * 500 < result["skipped"] < 0.25 * 500  # (10/12)^12 = 0.11 of the resamples draw no positive


def test_too_few_cases_of_a_class_give_null():
    result = estimate(lambda w: {"x": Metric(mean(np.ones(9), w), (2, 7))}, np.arange(9), SETTINGS, 1)["x"]
    assert (result["value"], result["low"], result["high"], result["n"]) == (None, None, None, 9)


def test_where_all_resamples_agree_no_interval_is_claimed():
    result = estimate(_mean_of(np.ones(10)), np.arange(10), SETTINGS, 1)["mean"]
    assert (result["value"], result["low"], result["high"]) == (1.0, None, None)
