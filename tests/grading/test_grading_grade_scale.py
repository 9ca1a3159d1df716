"""One scale of grades: grade, severity, interval and the call of a fracture follow from one number."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from helpers.simulated_latents import cohort
from vertegrade.grading.calibration import calibrate
from vertegrade.grading.grade_scale import (
    NEVER,
    GradeScale,
    best_grade_limits,
    fitted_limits,
    grade_of,
    youden_limit,
)
from vertegrade.grading.hyperplane import fit_hyperplane
from vertegrade.grading.prediction import predict
from vertegrade.settings.grading import GradingSettings

LIMITS = st.lists(st.one_of(st.floats(0, 3), st.just(NEVER)), min_size=3, max_size=3).map(sorted)


@pytest.mark.parametrize("method_settings", [{}, {"fracture_grade": 2}, {"calibration": "linear"}])
def test_grade_severity_interval_and_call_never_contradict_each_other(method_settings: dict) -> None:  # field test B12
    latents, labels, splits = cohort(patients=80)
    settings = GradingSettings(**method_settings)
    plane = fit_hyperplane(latents, labels, splits, settings, seed=1)
    calibration = calibrate(latents, labels, splits, plane, settings, seed=1)
    rows = predict(latents, plane, calibration, splits, "dae")
    assert len(set(rows["grade"])) >= 3
    assert (rows["grade"] == np.floor(rows["severity"] + 0.5)).all()
    for inside in ("grade", "severity"):
        assert ((rows["severity_low"] <= rows[inside]) & (rows[inside] <= rows["severity_high"])).all()
    ordered = rows.sort_values("severity", kind="stable")["grade"].to_numpy()
    assert (np.diff(ordered) >= 0).all()


@given(LIMITS, st.lists(st.floats(0, 3), min_size=2, max_size=30))
def test_severity_rounds_to_the_grade_and_keeps_the_order(limits: list[float], values: list[float]) -> None:
    expected = np.sort(np.array(values))
    severity = GradeScale(limits).severity(expected)
    assert (grade_of(severity) == np.searchsorted(limits, expected, side="right")).all()
    assert ((severity >= 0) & (severity <= 3)).all()
    assert (np.diff(severity) >= 0).all()


def test_limits_lie_at_the_halves_and_between_them_it_is_straight() -> None:
    scale = GradeScale([0.2, 0.8, 1.8])
    severity = scale.severity(np.array([0.0, 0.1, 0.2, 0.5, 0.8, 1.3, 1.8, 2.4, 3.0]))
    np.testing.assert_allclose(severity, [0, 0.25, 0.5, 1, 1.5, 2, 2.5, 2.75, 3])


def test_a_grade_never_given_has_no_severity() -> None:
    severity = GradeScale([0.2, NEVER, NEVER]).severity(np.linspace(0, 3, 50))
    assert set(grade_of(severity)) == {0, 1}


def test_the_fracture_limit_separates_when_it_can() -> None:
    value, event = np.array([0.1, 0.2, 0.6, 0.9]), np.array([False, False, True, True])
    assert youden_limit(value, event) == pytest.approx(0.4)


def test_the_fracture_limit_gives_up_a_fracture_for_many_intact() -> None:
    value = np.array([0.1, 0.15, 0.2, 0.25, 0.3, 0.5, 0.6, 0.7, 0.8])
    event = np.array([False, True, False, False, False, True, True, True, True])
    assert youden_limit(value, event) == pytest.approx(0.4)  # 4 of 5 and 4 of 4; all five would take 3 intact ones


def test_the_fracture_limit_of_useless_values_is_still_a_number() -> None:
    assert 0 <= youden_limit(np.full(4, 0.3), np.array([False, True, False, True])) <= 0.3


@pytest.mark.parametrize("fracture_grade", [1, 2, 3])
def test_limits_have_the_best_macro_f1_of_all_with_that_fracture_limit(fracture_grade: int) -> None:
    random = np.random.default_rng(3)
    grade = random.integers(0, 4, 14)
    value = np.clip(grade / 1.3 + random.normal(0, 0.6, 14), 0, 3) + 1e-3 * np.arange(14)
    fixed = youden_limit(value, grade >= fracture_grade)
    limits = best_grade_limits(value, grade, fracture_grade, fixed)
    found = np.searchsorted(limits, value, side="right")
    assert ((found >= fracture_grade) == (value >= fixed)).all()
    middles = [-9.0, *(float(a + b) / 2 for a, b in pairwise(np.sort(value))), 9.0]
    every = [(a, b, c) for a in middles for b in middles for c in middles if a <= b <= c]
    allowed = [e for e in every if ((value >= e[fracture_grade - 1]) == (value >= fixed)).all()]
    best = max(f1_score(grade, np.searchsorted(e, value), average="macro") for e in allowed)
    assert f1_score(grade, found, average="macro") == pytest.approx(best)


def test_fractures_begin_where_they_are_told_to_also_where_macro_f1_would_have_it_elsewhere() -> None:
    value, grade = np.array([0.1, 0.2, 0.8, 0.9]), np.array([0, 0, 1, 1])
    assert best_grade_limits(value, grade, 1, 0.5) == [pytest.approx(0.5), NEVER, NEVER]
    assert best_grade_limits(value, grade, 1, 0.85) == [pytest.approx(0.85), NEVER, NEVER]
    assert best_grade_limits(value, grade, 1, 0.15)[0] == pytest.approx(0.15)


def test_a_grade_that_does_not_occur_is_never_given() -> None:
    value, grade = np.linspace(0, 3, 31), np.repeat([0, 1, 3], [10, 10, 11])
    assert set(grade_of(GradeScale(fitted_limits(value, grade, 1)).severity(value))) == {0, 1, 3}
    assert set(grade_of(GradeScale(fitted_limits(value, grade, 2)).severity(value))) == {0, 1, 3}
    only_high = best_grade_limits(np.array([0.5, 1.0, 2.0, 2.5]), np.array([1, 1, 2, 2]), 2, 1.5)
    assert only_high == [0.0, 1.5, NEVER]
