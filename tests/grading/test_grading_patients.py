"""From vertebrae to patients: a calibrated probability, and an operating point of their own."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from helpers.simulated_latents import cohort
from vertegrade.grading import patients
from vertegrade.grading.calibration import Calibration, calibrate
from vertegrade.grading.calibrators import Graded
from vertegrade.grading.hyperplane import fit_hyperplane
from vertegrade.grading.patients import (
    EVIDENCE,
    SENSITIVITY,
    SPECIFICITY,
    PatientRule,
    fit_patient_rule,
    largest,
    operating_limit,
)
from vertegrade.grading.prediction import predict, with_patients
from vertegrade.grading.rows import patient_folds
from vertegrade.settings.grading import GradingSettings
from vertegrade.tables import PREDICTIONS, read_table, write_table

RULE = PatientRule("severity", -2.0, 1.0, -0.5, 0.4, 20, 10, {"severity": 0.3})


def spines(patients: int, seed: int, spread: float = 0.5) -> tuple[Graded, np.ndarray, np.ndarray]:
    """(predictions, grades, patients): 2 to 17 vertebrae each; half of the patients have fractures in a third."""
    random = np.random.default_rng(seed)
    patient = np.repeat(np.arange(patients), random.integers(2, 18, patients))
    prone = (random.random(patients) < 0.5)[patient]
    grade = np.where(prone & (random.random(len(patient)) < 0.33), random.integers(1, 4, len(patient)), 0)
    severity = np.clip(grade + spread * random.normal(size=len(patient)), 0, 3)
    p = 1 / (1 + np.exp(-4 * (severity - 0.9)))
    return Graded(severity, np.stack([1 - p, p / 3, p / 3, p / 3], axis=1)), grade, patient


def called(rule: PatientRule, graded: Graded, grade: np.ndarray, patient: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(probability, truth) of each patient."""
    truth = largest((grade >= 1).astype(float), patient) > 0
    return rule.probabilities(graded.p_at_least(1), graded.severity, patient), truth


def test_the_evidence_by_hand() -> None:
    p, severity, patient = np.array([0.5, 0.2, 0.9]), np.array([0.7, 1.2, 2.0]), np.array([0, 0, 1])
    odds = {name: list(evidence(p, severity, patient)) for name, evidence in EVIDENCE.items()}
    assert odds["severity"] == [1.2, 2.0]
    assert odds["probability"] == pytest.approx([0.0, np.log(9)])
    assert odds["any"] == pytest.approx([np.log(0.6 / 0.4), np.log(9)])  # 1 - 0.5 * 0.8
    sure = np.array([1.0, 0.0, 0.0])
    assert all(np.isfinite(evidence(sure, severity, patient)).all() for evidence in EVIDENCE.values())


def test_the_probability_by_hand() -> None:
    severity, patient = np.array([1.0, 3.0, 2.0]), np.array([0, 0, 1])
    found = RULE.probabilities(np.zeros(3), severity, patient)
    assert found == pytest.approx([1 / (1 + np.exp(-(1.0 - 0.5 * np.log(2)))), 0.5])


def test_the_limit_keeps_its_distance_from_both_goals() -> None:
    # 20 patients without: one of them at 0.6. 10 with: one at 0.3.
    p = np.concatenate([np.full(19, 0.1), [0.6], np.full(9, 0.9), [0.3]])
    fractured = np.arange(30) >= 20
    limit = operating_limit(p, fractured)
    assert limit == pytest.approx(0.2)  # 0.9 of the fractures would be no more than wanted; 0.95 without is
    apart = operating_limit(np.where(fractured, 0.9, 0.1), fractured)
    assert apart == pytest.approx(0.5)
    # as few hits as the goal beside no false alarm: the room to the sensitivity decides
    hits = np.array([0.2] * 20 + [0.8] * 18 + [0.2] * 2)
    assert operating_limit(hits, np.arange(40) >= 20) == pytest.approx(0.5)


def test_new_patients_are_called_as_wanted_and_the_probability_is_calibrated() -> None:
    graded, grade, patient = spines(150, 0)
    rule = fit_patient_rule([graded], grade, patient, 1, 5, 0)
    assert rule is not None
    p, truth = called(rule, *spines(2000, 1))
    assert (p[truth] >= rule.limit).mean() > SENSITIVITY - 0.05
    assert (p[~truth] < rule.limit).mean() > SPECIFICITY - 0.05
    assert roc_auc_score(truth, p) > 0.93
    bins = np.digitize(p, np.quantile(p, [0.2, 0.4, 0.6, 0.8]))
    for number in range(5):
        assert abs(p[bins == number].mean() - truth[bins == number].mean()) < 0.08


def test_more_vertebrae_need_more_evidence() -> None:
    graded, grade, patient = spines(400, 0, spread=0.7)
    rule = fit_patient_rule([graded], grade, patient, 1, 5, 0)
    assert rule is not None
    assert rule.per_vertebra < 0 < rule.slope


def test_repeats_are_patients_of_their_own_and_never_mixed() -> None:
    graded, grade, patient = spines(80, 0)
    other = Graded(graded.severity[::-1].copy(), graded.p_grade[::-1].copy())
    once = fit_patient_rule([graded], grade, patient, 1, 5, 0)
    twice = fit_patient_rule([graded, graded], grade, patient, 1, 5, 0)
    mixed = fit_patient_rule([graded, other], grade, patient, 1, 5, 0)
    assert once is not None
    assert twice is not None
    assert mixed is not None
    assert twice.patients == once.patients == 80
    assert twice.fractured == once.fractured
    assert twice.slope == pytest.approx(once.slope, rel=0.1)
    assert mixed.log_loss["any"] > once.log_loss["any"] + 0.1


def test_the_evidence_with_the_lowest_loss_of_patients_left_out_is_used() -> None:
    rule = fit_patient_rule([spines(150, 0)[0]], *spines(150, 0)[1:], 1, 5, 0)
    assert rule is not None
    assert set(rule.log_loss) == set(EVIDENCE)
    assert rule.log_loss[rule.evidence] == min(rule.log_loss.values())


def test_grades_that_say_nothing_earn_no_trust() -> None:
    graded, grade, patient = spines(150, 0)
    shuffled = np.random.default_rng(0).permutation(150)[patient]
    order = np.argsort(shuffled, kind="stable")
    rule = fit_patient_rule([graded], grade[order], shuffled[order], 1, 5, 0)
    assert rule is not None
    assert min(rule.log_loss.values()) > 0.55


def test_no_rule_where_nearly_all_patients_are_alike() -> None:
    graded, grade, patient = spines(40, 0)
    assert fit_patient_rule([graded], np.zeros_like(grade), patient, 1, 5, 0) is None
    first = np.flatnonzero(np.diff(patient, prepend=-1))
    all_ill = grade.copy()
    all_ill[first] = 2
    assert fit_patient_rule([graded], all_ill, patient, 1, 5, 0) is None


@pytest.fixture(scope="module")
def fitted() -> tuple[pd.DataFrame, Calibration]:
    """(predictions of vertebrae, their calibration)."""
    latents, labels, splits = cohort(patients=60)
    settings = GradingSettings()
    plane = fit_hyperplane(latents, labels, splits, settings, seed=1)
    calibration = calibrate(latents, labels, splits, plane, settings, seed=1)
    return predict(latents, plane, calibration, splits, "dae"), calibration


def test_each_row_says_what_all_graded_rows_of_its_patient_say(
    fitted: tuple[pd.DataFrame, Calibration], tmp_path
) -> None:
    predictions, calibration = fitted
    rule = calibration.patient
    assert rule is not None
    hidden = predictions["patient_id"].eq("p002") | (
        predictions["patient_id"].eq("p001") & (predictions.index % 2 == 0)
    )
    table = predictions.assign(evaluable=~hidden, grade=predictions["grade"].where(~hidden, -1))
    judged = with_patients(table, calibration)
    assert (judged.groupby("patient_id")[["patient_p_fracture", "patient_fractured"]].nunique() <= 1).all(axis=None)
    for name in ("p000", "p001"):
        rows = judged[judged["patient_id"] == name]
        seen = rows[rows["evaluable"]]
        values = [seen[column].to_numpy() for column in ("p_fracture", "severity")]
        expected = rule.probabilities(*values, np.zeros(len(seen), np.int64))[0]
        assert rows["patient_p_fracture"].iloc[0] == pytest.approx(expected)
        assert rows["patient_fractured"].iloc[0] == int(expected >= rule.limit)
    nothing = judged[judged["patient_id"] == "p002"]
    assert nothing["patient_p_fracture"].isna().all()
    assert (nothing["patient_fractured"] == -1).all()
    write_table(tmp_path / "p.parquet", judged, PREDICTIONS)
    assert read_table(tmp_path / "p.parquet", PREDICTIONS)["patient_fractured"].equals(judged["patient_fractured"])


def test_without_a_rule_the_worst_grade_calls(fitted: tuple[pd.DataFrame, Calibration]) -> None:
    predictions, calibration = fitted
    judged = with_patients(predictions, Calibration.from_dict(calibration.to_dict() | {"patient": None}))
    worst = predictions.groupby("patient_id")["grade"].max()
    assert judged["patient_p_fracture"].isna().all()
    assert (judged["patient_fractured"] == judged["patient_id"].map(worst).ge(1).astype(int)).all()
    assert len(with_patients(predictions.iloc[:0], calibration)) == 0


def test_the_rule_survives_json_and_validation_grades_never_touch_it(fitted: tuple[pd.DataFrame, Calibration]) -> None:
    numbers = json.loads(json.dumps(fitted[1].to_dict(), allow_nan=False))
    assert Calibration.from_dict(numbers).patient == fitted[1].patient


def test_a_patients_repeats_lie_in_one_fold_and_the_loss_is_of_patients_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    graded, grade, patient = spines(60, 0)
    other = Graded(np.clip(graded.severity + 0.3, 0, 3), graded.p_grade)
    truth = largest((grade >= 1).astype(float), patient) > 0
    folds = patient_folds(np.tile(truth, 2).astype(np.int64), np.tile(np.arange(60), 2), 1, 5, 3, least=3)
    assert (folds[:60] == folds[60:]).all()
    x = np.concatenate([largest(severity, patient) for severity in (graded.severity, other.severity)])
    x = np.stack([x, np.log(np.tile(np.bincount(patient), 2))], axis=1)
    ill, p = np.tile(truth, 2), np.empty(120)
    for fold in range(5):
        out = folds == fold
        mean, scale = x[~out].mean(axis=0), x[~out].std(axis=0)
        model = LogisticRegression(C=10.0).fit((x[~out] - mean) / scale, ill[~out])
        p[out] = model.predict_proba((x[out] - mean) / scale)[:, 1]
    wanted = -np.mean(np.log(np.where(ill, p, 1 - p)))
    rule = fit_patient_rule([graded, other], grade, patient, 1, 5, 3)
    assert rule is not None
    assert rule.log_loss["severity"] == pytest.approx(wanted, rel=1e-6)
    assert rule.log_loss[rule.evidence] == min(rule.log_loss.values())
    monkeypatch.setattr(patients, "EVIDENCE", {"severity": EVIDENCE["severity"]})
    alone = fit_patient_rule([graded, other], grade, patient, 1, 5, 3)
    assert alone is not None
    assert alone.limit == pytest.approx(operating_limit(p, ill))
    mean, scale = x.mean(axis=0), x.std(axis=0)
    whole = LogisticRegression(C=10.0).fit((x - mean) / scale, ill)
    assert (alone.slope, alone.per_vertebra) == pytest.approx(tuple(whole.coef_[0] / scale))


def test_the_goals_are_those_of_the_docs() -> None:
    assert (SENSITIVITY, SPECIFICITY) == (0.90, 0.85)
