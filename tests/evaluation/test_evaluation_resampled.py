"""Whatever is evaluated, in whatever group, patients are resampled; methods are compared where both graded."""

from typing import Any

import numpy as np
import pytest

from helpers.synthetic_predictions import make_cohort
from vertegrade.evaluation import evaluate as module
from vertegrade.evaluation.cases import labelled_cases, split_cases
from vertegrade.evaluation.evaluate import compare, evaluate
from vertegrade.settings.evaluation import EvaluationSettings

SETTINGS = EvaluationSettings(bootstrap_resamples=20)
COHORT = make_cohort(30)


@pytest.fixture
def resampled(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """The patients of the cases of each estimate."""
    seen: list[np.ndarray] = []

    def estimate(metrics: Any, patient: np.ndarray, *more: Any) -> dict[str, Any]:
        seen.append(patient)
        return {name: {"value": metric.values[0]} for name, metric in metrics(np.ones((1, len(patient)))).items()}

    monkeypatch.setattr(module, "estimate", estimate)
    return seen


def test_patients_are_resampled_in_the_whole_and_in_each_group(resampled: list[np.ndarray]) -> None:
    evaluate(COHORT.dae, COHORT.tables(), SETTINGS, 1, 7, "dae")
    most = COHORT.splits["split"].value_counts().max()
    assert len(resampled) > 60
    assert max(len(np.unique(patient)) for patient in resampled) == most
    long = [patient for patient in resampled if len(patient) > most]
    assert len(long) > 20
    assert all(len(np.unique(patient)) <= most for patient in long)


def test_methods_are_compared_by_test_vertebrae_that_both_graded(resampled: list[np.ndarray]) -> None:
    partial = COHORT.pca.copy()
    partial.loc[partial["vertebra"] == 20, "evaluable"] = False
    found = compare(COHORT.dae, partial, COHORT.tables(), SETTINGS, 1, 7, ("dae", "pca"))
    cases = split_cases(labelled_cases(COHORT.dae, COHORT.tables()), "test")
    both = cases[cases["evaluable"] & (cases["vertebra"] != 20)]
    assert found["vertebrae"] == len(both)
    # Patients are drawn with all of their labelled vertebrae: rates, and the truth of a patient, are of these.
    assert [len(resampled[0]), len(np.unique(resampled[0]))] == [len(cases), cases["patient_id"].nunique()]
    second = split_cases(labelled_cases(partial, COHORT.tables()), "test")
    second = second[second["evaluable"]]
    error = [(side["severity"] - side["genant_grade"]).abs().mean() for side in (both, second)]
    assert found["vertebra"]["mae"]["value"] == pytest.approx(error[0] - error[1])
