"""Calibrators and their choice."""

import json

import numpy as np
import pandas as pd
import pytest

from helpers.simulated_latents import cohort
from vertegrade.grading.calibration import Calibration, best_kind, calibrate
from vertegrade.grading.calibrators import (
    KINDS,
    Calibrator,
    Isotonic,
    Linear,
    ranked_probability_scores,
)
from vertegrade.grading.hyperplane import Hyperplane, fit_hyperplane
from vertegrade.grading.ordinal import fit_cumulative_logit
from vertegrade.grading.rows import GradingError
from vertegrade.settings.grading import GradingSettings

SETTINGS = GradingSettings()
Fitted = tuple[tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame], Hyperplane, Calibration]


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    tables = cohort()
    plane = fit_hyperplane(*tables, SETTINGS, seed=1)
    return tables, plane, calibrate(*tables, plane, SETTINGS, seed=1)


def graded_distances(seed: int = 0, count: int = 600) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(distance, z_n, grade, folds): grade rises with distance, most are 0, few are 3."""
    random = np.random.default_rng(seed)
    distance = random.normal(-1, 1.5, count)
    grade = np.digitize(distance + 0.5 * random.normal(size=count), [0.5, 1.2, 2.2])
    z_n = np.column_stack([distance / 1.5, random.normal(size=(count, 3))])
    return distance, z_n, grade, np.arange(count) % 4


@pytest.fixture(params=sorted(KINDS))
def kind(request: pytest.FixtureRequest) -> type[Calibrator]:
    return KINDS[request.param]


def test_probabilities_are_probabilities_and_severity_lies_in_range(kind: type[Calibrator]) -> None:
    distance, z_n, grade, folds = graded_distances()
    graded = kind.fit(distance, z_n, grade, folds).predict(distance * 3, z_n * 3)
    np.testing.assert_allclose(graded.p_grade.sum(axis=1), 1.0)
    assert graded.p_grade.min() >= 0
    assert 0 <= graded.severity.min() <= graded.severity.max() <= 3


def test_severity_and_p_fracture_never_fall_with_distance(kind: type[Calibrator]) -> None:
    distance, z_n, grade, folds = graded_distances()
    line = np.linspace(-6, 6, 400)
    along = np.column_stack([line / 1.5, np.zeros((400, 3))])
    graded = kind.fit(distance, z_n, grade, folds).predict(line, along)
    assert np.diff(graded.severity).min() >= -1e-12
    assert np.diff(graded.p_at_least(1)).min() >= -1e-12


def test_severity_tells_vertebrae_apart(kind: type[Calibrator]) -> None:
    # The released code's calibrated grade was the same for every image.
    distance, z_n, grade, folds = graded_distances()
    severity = kind.fit(distance, z_n, grade, folds).predict(distance, z_n).severity
    assert len(np.unique(severity[grade >= 1])) > 0.9 * (grade >= 1).sum()
    assert severity[grade == 3].mean() > severity[grade == 1].mean() > severity[grade == 0].mean()


def test_probabilities_are_calibrated_on_new_data(kind: type[Calibrator]) -> None:
    if kind is Linear:
        pytest.skip("a straight line is not calibrated where most grades are 0")
    calibrator = kind.fit(*graded_distances(0, 3000))
    distance, z_n, grade, _ = graded_distances(1, 3000)
    graded = calibrator.predict(distance, z_n)
    for grades in (1, 2, 3):
        p = graded.p_at_least(grades)
        bins = np.digitize(p, [0.1, 0.3, 0.7, 0.9])
        for number in np.flatnonzero(np.bincount(bins) >= 40):
            here = bins == number
            assert abs(p[here].mean() - (grade[here] >= grades).mean()) < 0.12


def test_a_grade_that_never_occurred_gets_no_probability(kind: type[Calibrator]) -> None:
    distance, z_n, grade, folds = graded_distances()
    missing = np.where(grade == 2, 1, grade)
    missing = np.where(missing == 3, 2, missing)
    for occurring, absent in ((missing, 3), (np.where(grade == 2, 1, grade), 2)):
        graded = kind.fit(distance, z_n, occurring, folds).predict(distance, z_n)
        assert np.isfinite(graded.p_grade).all()
        if kind is not Linear:
            assert graded.p_grade[:, absent].max() < 1e-12


def test_separable_grades_give_finite_numbers(kind: type[Calibrator]) -> None:
    distance = np.linspace(-3, 3, 40)
    grade = np.digitize(distance, [0.0, 1.0, 2.0])
    calibrator = kind.fit(distance, distance[:, None], grade, np.arange(40) % 4)
    json.dumps(calibrator.to_dict(), allow_nan=False)
    severity = calibrator.predict(distance, distance[:, None]).severity
    assert np.diff(severity).min() >= 0


def test_plain_numbers_keep_every_bit(kind: type[Calibrator]) -> None:
    distance, z_n, grade, folds = graded_distances()
    calibrator = kind.fit(distance, z_n, grade, folds)
    again = kind.from_dict(json.loads(json.dumps(calibrator.to_dict())))
    np.testing.assert_array_equal(again.predict(distance, z_n).severity, calibrator.predict(distance, z_n).severity)
    np.testing.assert_array_equal(again.predict(distance, z_n).p_grade, calibrator.predict(distance, z_n).p_grade)


@pytest.mark.parametrize("name", ["linear", "isotonic", "ordinal_distance"])
def test_distances_that_point_the_wrong_way_do_not_turn_the_scale_round(name: str) -> None:
    distance, z_n, grade, folds = graded_distances()
    graded = KINDS[name].fit(-distance, z_n, grade, folds).predict(np.array([-3.0, 3.0]), z_n[:2])
    assert graded.severity[1] >= graded.severity[0]


def test_the_linear_kind_is_the_least_squares_line() -> None:
    fit = Linear.fit(np.array([0.0, 1.0, 2.0]), np.empty((3, 0)), np.array([0, 1, 2]), np.zeros(3, np.int64))
    assert (fit.slope, fit.intercept) == pytest.approx((1.0, 0.0))


def test_centred_isotonic_regression_by_hand() -> None:
    # Pools {0}, {1, 2}, {3} of P = 0, 1/2, 1 stand at their mean distances.
    fit = Isotonic.fit(np.arange(4.0), np.empty((4, 0)), np.array([0, 1, 0, 1]), np.zeros(4, np.int64))
    assert fit.knots == [([0.0, 1.5, 3.0], [0.0, 0.5, 1.0]), ([], []), ([], [])]


def test_cumulative_logit_equals_statsmodels() -> None:
    from statsmodels.miscmodels.ordinal_model import OrderedModel

    distance, _, grade, _ = graded_distances()
    ours = fit_cumulative_logit(distance[:, None], grade, ridge=1e-9).probabilities(distance[:, None])
    theirs = OrderedModel(grade, distance[:, None], distr="logit").fit(method="bfgs", disp=False).predict()
    np.testing.assert_allclose(ours, np.asarray(theirs), atol=1e-4)


def test_cumulative_logit_needs_two_grades() -> None:
    with pytest.raises(GradingError, match=r"only grade \[2\]"):
        fit_cumulative_logit(np.ones((3, 1)), np.array([2, 2, 2]), 1.0)


def test_ranked_probability_score_by_hand() -> None:
    p_grade = np.array([[1.0, 0, 0, 0], [0.5, 0.5, 0, 0]])
    assert ranked_probability_scores(p_grade, np.array([2, 0])) == pytest.approx([2.0, 0.25])


def test_the_kind_with_the_best_score_is_chosen_and_all_scores_are_kept(fitted: Fitted) -> None:
    scores = pd.DataFrame(fitted[2].scores).set_index("kind")
    assert set(scores.index) == set(KINDS)
    assert scores["worse_than_best"].min() == 0
    near = scores[scores["worse_than_best"] <= scores["standard_error"]]
    assert near["order_of_fractures"].idxmax() == fitted[2].chosen


def test_a_clearly_better_score_beats_a_better_order() -> None:
    rows = [("a", 0.0, 0.0, 0.5), ("b", 0.004, 0.005, 0.6), ("c", 0.1, 0.02, 0.9)]
    scores = [{"kind": k, "worse_than_best": w, "standard_error": e, "order_of_fractures": o} for k, w, e, o in rows]
    assert best_kind(scores) == "b"


def test_a_kind_can_be_prescribed(fitted: Fitted) -> None:
    tables, plane, _ = fitted
    assert calibrate(*tables, plane, GradingSettings(calibration="linear"), seed=1).chosen == "linear"


def test_calibration_survives_json(fitted: Fitted) -> None:
    numbers = json.dumps(fitted[2].to_dict(), allow_nan=False)
    assert json.dumps(Calibration.from_dict(json.loads(numbers)).to_dict()) == numbers


def test_calibrating_twice_gives_the_same_numbers(fitted: Fitted) -> None:
    tables, plane, calibration = fitted
    assert calibrate(*tables, plane, SETTINGS, seed=1).to_dict() == calibration.to_dict()


def test_true_height_loss_and_test_grades_are_never_used(fitted: Fitted) -> None:
    (latents, labels, splits), plane, calibration = fitted
    test = labels["patient_id"].isin(splits.loc[splits["split"] == "test", "patient_id"])
    spoilt = labels.assign(height_loss=np.nan, genant_grade=labels["genant_grade"].where(~test, 3.0))
    assert calibrate(latents, spoilt, splits, plane, SETTINGS, seed=1).to_dict() == calibration.to_dict()


def test_validation_grades_touch_the_intervals_only(fitted: Fitted) -> None:
    (latents, labels, splits), plane, calibration = fitted
    validation = labels["patient_id"].isin(splits.loc[splits["split"] == "validation", "patient_id"])
    spoilt = labels.assign(genant_grade=labels["genant_grade"].where(~validation, 3.0))
    other = calibrate(latents, spoilt, splits, plane, SETTINGS, seed=1).to_dict()
    changed = {key for key, value in calibration.to_dict().items() if other[key] != value}
    assert changed == {"intervals"}


def test_the_intervals_count_training_out_of_fold_and_validation(fitted: Fitted) -> None:
    (latents, labels, splits), plane, calibration = fitted
    used = labels[labels["patient_id"].isin(splits.loc[splits["split"] != "test", "patient_id"])]
    found = [used.loc[used["genant_grade"] == grade, "patient_id"].nunique() for grade in range(4)]
    assert calibration.intervals.patients == found
    few = splits.assign(
        split=splits["split"].where((splits["split"] != "validation") | (splits.index % 2 == 0), "test")
    )
    with pytest.raises(GradingError, match="need 9 validation patients with graded vertebrae, there are 6; lower"):
        calibrate(latents, labels, few, plane, SETTINGS, seed=1)


def test_a_calibration_that_is_read_keeps_its_fingerprint(fitted: Fitted) -> None:
    numbers = json.loads(json.dumps(fitted[2].to_dict()))
    assert Calibration.from_dict(numbers).sha256() == fitted[2].sha256()
    assert Calibration.from_dict(numbers | {"usual_errors": [9.0]}).sha256() != fitted[2].sha256()


def test_random_labels_are_not_rewarded_out_of_fold() -> None:
    # Sixty dimensions and few patients: a plane separates its own training data, and a leak from it would show here.
    latents, labels, splits = cohort(patients=40, vertebrae=8, dimensions=60, seed=2)
    shuffled = labels.assign(genant_grade=np.random.default_rng(0).permutation(labels["genant_grade"].to_numpy()))
    plane = fit_hyperplane(latents, shuffled, splits, SETTINGS, seed=0)
    # eight validation patients are too few for intervals of 0.90
    settings = GradingSettings(coverage=0.8)
    scores = pd.DataFrame(calibrate(latents, shuffled, splits, plane, settings, seed=0).scores)
    assert scores["auc"].max() < 0.65


def test_too_few_fractured_patients_are_a_clear_error(fitted: Fitted) -> None:
    (latents, labels, splits), plane, _ = fitted
    train = splits.loc[splits["split"] == "train", "patient_id"]
    fractured = labels.loc[(labels["genant_grade"] > 0) & labels["patient_id"].isin(train), "patient_id"].unique()
    few = labels[~labels["patient_id"].isin(fractured[2:])]
    with pytest.raises(GradingError, match="at least 3 patients with a vertebra of grade 1 or more"):
        calibrate(latents, few, splits, plane, SETTINGS, seed=1)
