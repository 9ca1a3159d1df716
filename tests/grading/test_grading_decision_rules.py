"""From probabilities to one grade: each rule as limits, the best one chosen on patients left out."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score

from vertegrade.grading import decision_rules
from vertegrade.grading.calibrators import Graded, expected_grade
from vertegrade.grading.decision_rules import RULES, decision_score, fit_grade_scale, limits_of, median_grade
from vertegrade.grading.grade_scale import NEVER, grade_of


def simulated(count: int, seed: int) -> tuple[Graded, np.ndarray]:
    """(probabilities of a cumulative logistic model of one predictor, grades drawn by them), most intact."""
    random = np.random.default_rng(seed)
    predictor = random.normal(-1.5, 2, count)
    below = 1 / (1 + np.exp(predictor[:, None] - np.array([0.0, 1.0, 2.5])))
    edges = np.concatenate([np.zeros((count, 1)), below, np.ones((count, 1))], axis=1)
    p_grade = np.diff(edges, axis=1)
    return expected_grade(p_grade), (random.random(count)[:, None] > edges[:, 1:]).sum(axis=1)


def test_the_median_grade_by_hand() -> None:
    p_grade = np.array([[0.5, 0.5, 0, 0], [0.49, 0.02, 0.2, 0.29], [0.1, 0.2, 0.3, 0.4], [0, 0, 0, 1.0]])
    assert median_grade(p_grade).tolist() == [0, 1, 2, 3]


def test_limits_give_the_medians_of_a_model_of_one_predictor_exactly() -> None:
    graded, _ = simulated(2000, 0)
    decided = median_grade(graded.p_grade)
    limits = limits_of(graded.severity, decided)
    np.testing.assert_array_equal(np.searchsorted(limits, graded.severity, side="right"), decided)
    assert len(set(decided)) == 4


def test_limits_put_as_few_as_they_can_on_the_wrong_side() -> None:
    expected = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    assert limits_of(expected, np.array([0, 0, 1, 0, 1, 1]))[0] == pytest.approx(0.25)
    assert limits_of(expected, np.array([0, 1, 0, 0, 1, 1]))[0] == pytest.approx(0.45)
    assert limits_of(expected, np.zeros(6, int)) == [NEVER] * 3
    assert limits_of(expected, np.full(6, 2)) == [0.0, 0.0, NEVER]


def test_the_score_is_half_of_grades_and_half_of_the_call() -> None:
    _, grade = simulated(300, 1)
    decided = np.random.default_rng(0).integers(0, 4, 300)
    for fracture in (1, 2):
        balanced = balanced_accuracy_score(grade >= fracture, decided >= fracture)
        expected = (f1_score(grade, decided, average="macro") + balanced) / 2
        assert decision_score(decided, grade, fracture) == pytest.approx(expected)


def test_the_rule_with_the_best_score_of_patients_left_out_sets_the_limits() -> None:
    graded, grade = simulated(1500, 2)
    folds = np.arange(1500) % 5
    scale = fit_grade_scale(graded, grade, 1, folds)
    assert set(scale.scores) == set(RULES)
    assert scale.scores[scale.rule] == max(scale.scores.values())
    assert scale.limits == RULES[scale.rule](graded, grade, 1)
    # by hand: the median's limits of each fold come from the others
    decided = np.empty(1500, int)
    for fold in range(5):
        out = folds == fold
        seen = Graded(graded.severity[~out], graded.p_grade[~out])
        decided[out] = np.searchsorted(
            limits_of(seen.severity, median_grade(seen.p_grade)), graded.severity[out], "right"
        )
    assert scale.scores["median"] == pytest.approx(decision_score(decided, grade, 1))


def test_a_rule_that_learns_by_heart_wins_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that are right for the vertebrae they were fitted to and wrong for others."""
    graded, grade = simulated(400, 3)

    def by_heart(seen: Graded, true: np.ndarray, fracture_grade: int) -> list[float]:
        whole = len(true) == len(grade)
        return RULES["fitted"](seen, true, fracture_grade) if whole else [NEVER] * 3

    monkeypatch.setitem(RULES, "by_heart", by_heart)
    scale = fit_grade_scale(graded, grade, 1, np.arange(400) % 5)
    assert scale.rule != "by_heart"
    assert scale.scores["by_heart"] < scale.scores["fitted"] - 0.2
    assert decision_rules.RULES["by_heart"] is by_heart


def test_every_rule_leads_to_a_severity_that_rounds_to_its_grade() -> None:
    graded, grade = simulated(500, 4)
    for name, rule in RULES.items():
        limits = rule(graded, grade, 1)
        scale = decision_rules.GradeScale(limits, name)
        decided = np.searchsorted(limits, graded.severity, side="right")
        np.testing.assert_array_equal(grade_of(scale.severity(graded.severity)), decided)
