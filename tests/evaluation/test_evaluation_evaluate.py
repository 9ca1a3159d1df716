"""metrics.json: right cases, right groups, null instead of NaN, a paired comparison."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from helpers.synthetic_predictions import Cohort, make_cohort
from vertegrade.evaluation.cases import EvaluationError, labelled_cases, patient_cases, split_cases
from vertegrade.evaluation.evaluate import compare, evaluate, metrics_table
from vertegrade.settings.evaluation import EvaluationSettings

SETTINGS = EvaluationSettings(bootstrap_resamples=200)
COHORT = make_cohort(40)


def _evaluate(cohort: Cohort = COHORT, **changes):
    predictions = changes.pop("predictions", cohort.dae)
    method = predictions["method"].iloc[0]
    return evaluate(predictions, cohort.tables(**changes), SETTINGS, fracture_grade=1, seed=7, method=method)


def _cases(predictions: pd.DataFrame) -> pd.DataFrame:
    return labelled_cases(predictions, COHORT.tables())


def test_the_headline_auc_is_of_the_severity_on_evaluable_labelled_test_vertebrae():
    merged = COHORT.dae.merge(COHORT.labels, on=["scan_id", "vertebra"])
    test = merged[(merged["split"] == "test") & merged["usable"] & merged["evaluable"]]
    result = _evaluate()["splits"]["test"]["vertebra"]["auc"]
    assert result["value"] == pytest.approx(roc_auc_score(test["genant_grade"] >= 1, test["severity"]))
    assert result["n"] == len(test)
    assert result["low"] < result["value"] < result["high"]


def test_the_threshold_at_95_is_the_smallest_of_validation_patients_and_test_patients_change_nothing():
    cases = _cases(COHORT.dae)
    graded = cases[cases["evaluable"]].assign(ill=cases["genant_grade"] >= 1)
    validation, test = (graded[graded["split"] == split] for split in ("validation", "test"))
    intact = validation.loc[~validation["ill"], "severity"]
    result = _evaluate()
    threshold = result["threshold_at_95"]
    assert (intact <= threshold).mean() >= 0.95 > (intact <= intact[intact < threshold].max()).mean()
    called, figures = test["severity"] > threshold, result["splits"]["test"]["vertebra"]
    for name, wanted in (("sensitivity", called[test["ill"]].mean()), ("specificity", (~called[~test["ill"]]).mean())):
        cell = figures[f"{name}_at_95"]
        assert cell["value"] == pytest.approx(wanted)
        assert cell["low"] < cell["value"] < cell["high"]
    of_test = COHORT.dae["split"] == "test"
    turned = COHORT.dae.assign(severity=COHORT.dae["severity"].where(~of_test, 3 - COHORT.dae["severity"]))
    assert _evaluate(predictions=turned)["threshold_at_95"] == threshold


def test_with_too_few_validation_cases_nothing_is_said_at_95():
    cases = _cases(COHORT.dae)
    unseen = set(cases.loc[cases["split"] == "validation", "patient_id"])
    result = _evaluate(labels=COHORT.labels[~COHORT.labels["patient_id"].isin(unseen)])
    assert result["threshold_at_95"] is None
    for name in ("sensitivity_at_95", "specificity_at_95"):
        cell = result["splits"]["test"]["vertebra"][name]
        assert (cell["value"], cell["low"]) == (None, None)
        assert cell["n"] > 0


def test_metrics_are_strict_json_and_the_same_each_time():
    assert json.dumps(_evaluate(), allow_nan=False) == json.dumps(_evaluate(), allow_nan=False)


def test_the_order_of_the_rows_does_not_matter():
    shuffled = COHORT.dae.sample(frac=1, random_state=1)
    assert _evaluate(predictions=shuffled) == _evaluate()


def test_every_labelled_vertebra_is_evaluated_or_has_a_reason():
    for block in _evaluate()["splits"].values():
        counts = block["counts"]
        assert counts["vertebrae_evaluated"] + sum(counts["not_evaluable"].values()) == counts["vertebrae_labelled"]


def test_vertebrae_of_a_failed_scan_count_as_not_evaluable_with_the_scans_reason():
    counts = _evaluate()["splits"]["test"]["counts"]
    assert counts["not_evaluable"]["bad_pixels"] > 0
    assert counts["patients_evaluated"] == counts["patients"] - 2  # one scan failed, one left the scan


def test_a_fracture_in_a_vertebra_that_was_not_graded_makes_its_patient_positive():
    cases = pd.DataFrame(
        {
            "patient_id": ["A", "A", "B"],
            "genant_grade": [0, 2, 0],
            "severity": [0.2, np.nan, 0.1],
            "grade": [0, -1, 0],
            "evaluable": [True, False, True],
            "patient_p_fracture": [0.2, 0.2, 0.1],
            "patient_fractured": [1, 1, -1],
        }
    )
    patients = patient_cases(cases, fracture_grade=1).set_index("patient_id")
    assert patients["fractured"].to_dict() == {"A": True, "B": False}
    assert patients.loc["A", ["severity", "grade"]].tolist() == [0.2, 0]


def test_a_patient_is_called_by_the_rule_for_patients() -> None:
    said = COHORT.dae["patient_id"].str[1:].astype(int) % 3
    p = (0.1 + 0.8 * (said == 1)).where(said < 2, 0.3)
    predictions = COHORT.dae.assign(patient_p_fracture=p, patient_fractured=(said == 1).astype(int))
    cases = split_cases(labelled_cases(predictions, COHORT.tables()), "test")
    patients = patient_cases(cases, 1)
    seen = patients[patients["evaluable"]]
    called = seen["patient_id"].str[1:].astype(int) % 3 == 1
    assert (seen["called"] == called).all()
    result = _evaluate(predictions=predictions)["splits"]["test"]["patient"]
    ill = seen["fractured"]
    assert result["sensitivity"]["value"] == pytest.approx(called[ill].mean())
    assert result["specificity"]["value"] == pytest.approx((~called[~ill]).mean())
    assert result["brier"]["value"] == pytest.approx(((seen["p_fracture"] - ill) ** 2).mean())
    apart = [abs((rows["p_fracture"] - rows["fractured"]).sum()) for _, rows in seen.groupby("p_fracture")]
    assert result["ece"]["value"] == pytest.approx(sum(apart) / len(seen))
    assert result["auc"] == _evaluate()["splits"]["test"]["patient"]["auc"]


def test_without_a_rule_a_patient_is_called_by_the_worst_grade() -> None:
    patients = patient_cases(split_cases(_cases(COHORT.dae), "test"), 1)
    assert (patients["called"] == (patients["grade"] >= 1)).all()
    assert patients["p_fracture"].isna().all()
    result = _evaluate()["splits"]["test"]["patient"]
    assert result["brier"]["value"] is None
    assert result["brier"]["n"] == 0
    unsaid = COHORT.dae.assign(patient_p_fracture=np.nan, patient_fractured=-1)
    assert _evaluate(predictions=unsaid) == _evaluate()


def test_strata_add_up_to_the_whole():
    test = _evaluate()["splits"]["test"]
    for kind in ("by_region", "by_level", "by_thickness"):
        total = sum(stratum["counts"]["vertebrae"] for stratum in test[kind].values())
        assert total == test["counts"]["vertebrae_evaluated"], kind


def test_fractures_of_a_shape_are_held_against_all_intact_vertebrae():
    merged = COHORT.dae.merge(COHORT.labels, on=["scan_id", "vertebra"])
    test = merged[(merged["split"] == "test") & merged["usable"] & merged["evaluable"]]
    strata = _evaluate()["splits"]["test"]["by_shape"]
    assert list(strata) == ["wedge", "biconcave", "crush"]
    for shape, stratum in strata.items():
        fractures = test[test["shape"] == shape]
        cases = test[(test["genant_grade"] == 0) | (test["shape"] == shape)]
        error = fractures["severity"] - fractures["genant_grade"]
        assert stratum["counts"]["fractured"] == stratum["counts"]["vertebrae"] == len(fractures)
        assert stratum["auc"]["value"] == pytest.approx(roc_auc_score(cases["genant_grade"] > 0, cases["severity"]))
        assert stratum["sensitivity"]["value"] == pytest.approx((fractures["grade"] > 0).mean())
        assert stratum["mean_error"]["value"] == pytest.approx(error.mean())
        assert stratum["mae"]["value"] == pytest.approx(error.abs().mean())
        assert not {"specificity", "pr_auc", "interval_coverage", "interval_width"} & set(stratum)


def test_fractures_without_a_shape_are_named_so_and_mild_ones_may_be_intact():
    labels = COHORT.labels.assign(shape=COHORT.labels["shape"].where(COHORT.labels["vertebra"] < 20, ""))
    strata = _evaluate(labels=labels)["splits"]["test"]["by_shape"]
    assert list(strata) == ["wedge", "biconcave", "crush", "not given"]
    severe = evaluate(COHORT.dae, COHORT.tables(), SETTINGS, fracture_grade=3, seed=7, method="dae")
    counts = severe["splits"]["test"]["by_shape"]
    whole = severe["splits"]["test"]["confusion"]
    assert sum(stratum["counts"]["fractured"] for stratum in counts.values()) == sum(whole[3])


def test_the_error_of_a_region_is_that_of_its_fractures():
    merged = COHORT.dae.merge(COHORT.labels, on=["scan_id", "vertebra"])
    test = merged[(merged["split"] == "test") & merged["usable"] & merged["evaluable"]]
    lumbar = test[(test["vertebra"] >= 22) & (test["genant_grade"] > 0)]
    strata = _evaluate()["splits"]["test"]["by_region"]
    assert list(strata) == ["T1-T4", "T5-T9", "T10-L2", "L3-L6"]
    error = (lumbar["severity"] - lumbar["genant_grade"]).mean()
    assert strata["L3-L6"]["mean_error"]["value"] == pytest.approx(error)


def test_intervals_are_judged_by_true_grade_and_in_each_group() -> None:
    narrow = COHORT.dae.assign(severity_high=COHORT.dae["severity_high"].where(COHORT.dae["grade"] < 2, 2.0))
    merged = narrow.merge(COHORT.labels, on=["scan_id", "vertebra"])
    test = merged[(merged["split"] == "test") & merged["usable"] & merged["evaluable"]]
    inside = (test["severity_low"] <= test["genant_grade"]) & (test["genant_grade"] <= test["severity_high"])
    width = test["severity_high"] - test["severity_low"]
    result = _evaluate(predictions=narrow)["splits"]["test"]
    assert result["vertebra"]["interval_coverage"]["value"] == pytest.approx(inside.mean())
    for grade in range(4):
        of_grade = test["genant_grade"] == grade
        assert result["vertebra"][f"interval_coverage_grade_{grade}"]["value"] == pytest.approx(inside[of_grade].mean())
        assert result["vertebra"][f"interval_width_grade_{grade}"]["value"] == pytest.approx(width[of_grade].mean())
    assert result["vertebra"]["interval_coverage_grade_3"]["value"] < 0.5
    lumbar = test["vertebra"] >= 22
    stratum = result["by_region"]["L3-L6"]
    assert stratum["interval_coverage"]["value"] == pytest.approx(inside[lumbar].mean())
    assert stratum["interval_width"]["value"] == pytest.approx(width[lumbar].mean())
    assert stratum["interval_coverage"]["n"] == lumbar.sum()


def test_thickness_on_an_edge_belongs_to_the_thinner_band_and_unknown_is_its_own():
    number = COHORT.crops["patient_id"].str[1:].astype(int) % 3
    crops = COHORT.crops.assign(slice_thickness_mm=number.map({0: np.nan, 1: 1.0, 2: 3.1}))
    bands = _evaluate(crops=crops)["splits"]["test"]["by_thickness"]
    cases = split_cases(_cases(COHORT.dae), "test")
    third = cases.loc[cases["evaluable"], "patient_id"].str[1:].astype(int) % 3
    sizes = {name: band["counts"]["vertebrae"] for name, band in bands.items()}
    assert sizes == {"<= 1 mm": (third == 1).sum(), "> 3 mm": (third == 2).sum(), "unknown": (third == 0).sum()}


def test_one_class_only_gives_null_and_its_count():
    healthy = COHORT.labels.assign(genant_grade=COHORT.labels["genant_grade"] * 0)
    test = _evaluate(labels=healthy)["splits"]["test"]
    assert test["vertebra"]["auc"]["value"] is None
    assert test["vertebra"]["sensitivity"] == {"value": None, "low": None, "high": None, "n": 0, "skipped": 200}
    assert test["vertebra"]["specificity"]["value"] > 0.5
    assert test["patient"]["auc"]["value"] is None


def test_no_labels_at_all_give_an_empty_result_and_no_error():
    test = _evaluate(labels=COHORT.labels.iloc[:0])["splits"]["test"]
    assert test["counts"]["vertebrae_labelled"] == 0
    assert test["vertebra"]["auc"]["value"] is None
    assert test["calibration"] == []


def test_calibration_bins_hold_every_vertebra_once():
    test = _evaluate()["splits"]["test"]
    assert sum(row["n"] for row in test["calibration"]) == test["counts"]["vertebrae_evaluated"]
    predicted = [row["predicted"] for row in test["calibration"]]
    assert predicted == sorted(predicted)


def test_predictions_of_another_split_than_the_patients_are_refused():
    moved = COHORT.dae.assign(split="test")
    with pytest.raises(EvaluationError, match="another split"):
        _evaluate(predictions=moved)


def test_predictions_of_two_methods_in_one_table_are_refused():
    both = pd.concat([COHORT.dae, COHORT.pca.assign(vertebra=COHORT.pca["vertebra"].replace(24, 25))])
    with pytest.raises(EvaluationError, match="predictions of pca where those of dae belong"):
        _evaluate(predictions=both[~both.duplicated(["scan_id", "vertebra"])])


def test_labels_of_scans_outside_the_cohort_are_left_out():
    stranger = COHORT.labels.iloc[:5].assign(scan_id="elsewhere", patient_id="elsewhere")
    assert _evaluate(labels=pd.concat([COHORT.labels, stranger])) == _evaluate()


def _compare(first: pd.DataFrame, second: pd.DataFrame):
    methods = (first["method"].iloc[0], second["method"].iloc[0])
    return compare(first, second, COHORT.tables(), SETTINGS, 1, 7, methods)


def test_a_method_compared_with_itself_differs_by_exactly_nothing():
    cells = _compare(COHORT.dae, COHORT.dae)["vertebra"]
    assert cells["auc"]["value"] == 0
    assert cells["auc"]["low"] is None


def test_the_paired_difference_is_that_of_the_two_estimates_and_narrower_than_unpaired():
    result = _compare(COHORT.dae, COHORT.pca)
    first, second = (
        _evaluate(predictions=side)["splits"]["test"]["vertebra"]["auc"] for side in (COHORT.dae, COHORT.pca)
    )
    difference = result["vertebra"]["auc"]
    assert result["methods"] == ["dae", "pca"]
    assert difference["value"] == pytest.approx(first["value"] - second["value"])
    assert difference["high"] - difference["low"] < (first["high"] - first["low"]) + (second["high"] - second["low"])


def test_the_comparison_uses_the_vertebrae_that_both_graded():
    partial = COHORT.pca.copy()
    partial.loc[partial["vertebra"] == 20, "evaluable"] = False
    cases = split_cases(_cases(COHORT.dae), "test")
    expected = int((cases["evaluable"] & (cases["vertebra"] != 20)).sum())
    assert _compare(COHORT.dae, partial)["vertebrae"] == expected


def test_what_one_method_did_not_grade_counts_in_its_rate_and_in_the_truth_of_patients():
    """The baseline grades no fracture: its patients stay fractured, and the rates differ by what it left out."""
    fractures = COHORT.labels.loc[COHORT.labels["genant_grade"] >= 1, ["scan_id", "vertebra"]]
    among = COHORT.pca.merge(fractures, on=["scan_id", "vertebra"], how="left", indicator=True)["_merge"] == "both"
    partial = COHORT.pca.assign(evaluable=COHORT.pca["evaluable"] & ~among.to_numpy())
    result = _compare(COHORT.dae, partial)
    blocks = [_evaluate(predictions=table)["splits"]["test"] for table in (COHORT.dae, partial)]
    for level in ("vertebra", "patient"):
        rates = [block[level]["non_evaluable_rate"]["value"] for block in blocks]
        assert result[level]["non_evaluable_rate"]["value"] == pytest.approx(rates[0] - rates[1])
    assert result["vertebra"]["non_evaluable_rate"]["value"] < -0.1
    assert result["patient"]["auc"]["n"] == blocks[1]["patient"]["auc"]["n"] > 0
    assert result["patient"]["sensitivity"]["value"] is not None
    assert result["vertebra"]["sensitivity"]["value"] is None  # nothing fractured is compared


def test_the_table_holds_every_estimate():
    table = metrics_table(_evaluate())
    row = table[(table["split"] == "test") & (table["group"] == "level T12") & (table["metric"] == "sensitivity")]
    assert len(row) == 1
    assert not table.duplicated(["split", "group", "metric"]).any()
    assert set(table["group"]) >= {"vertebra", "patient", "shape crush", "region L3-L6", "thickness > 3 mm"}


def test_a_rounding_of_thickness_is_of_the_same_band():  # field test B3
    even = _evaluate(crops=COHORT.crops.assign(slice_thickness_mm=2.0))["splits"]["test"]["by_thickness"]
    rounded = COHORT.crops.assign(slice_thickness_mm=[2.0 + (-1) ** n * 1e-4 for n in range(len(COHORT.crops))])
    assert _evaluate(crops=rounded)["splits"]["test"]["by_thickness"] == even


@pytest.mark.parametrize("edges", [[2.0, 1.0], [0.0, 1.0], []])
def test_thickness_bands_must_ascend(edges):
    with pytest.raises(ValueError, match="thickness_bands_mm"):
        EvaluationSettings(thickness_bands_mm=edges)


def test_a_vertebra_is_called_fractured_by_its_grade():  # field test B12
    merged = COHORT.dae.merge(COHORT.labels, on=["scan_id", "vertebra"])
    test = merged[(merged["split"] == "test") & merged["usable"] & merged["evaluable"]]
    fractured, called = test["genant_grade"] >= 1, test["grade"] >= 1
    result = _evaluate()["splits"]["test"]
    assert result["vertebra"]["sensitivity"]["value"] == pytest.approx(called[fractured].mean())
    assert result["vertebra"]["specificity"]["value"] == pytest.approx((~called[~fractured]).mean())
    whatever = COHORT.dae.assign(p_fracture=0.0)
    assert (
        _evaluate(predictions=whatever)["splits"]["test"]["vertebra"]["sensitivity"]
        == result["vertebra"]["sensitivity"]
    )


def test_spearman_with_height_loss_is_among_fractures_of_known_height_loss():
    labels = COHORT.labels.copy()
    labels.loc[labels["vertebra"] >= 20, "height_loss"] = np.nan
    merged = COHORT.dae.merge(labels, on=["scan_id", "vertebra"])
    known = merged[(merged["split"] == "test") & merged["usable"] & merged["evaluable"] & merged["height_loss"].notna()]
    fractures = known[known["genant_grade"] >= 1]
    result = _evaluate(labels=labels)["splits"]["test"]["vertebra"]["spearman_height_loss"]
    assert result["value"] == pytest.approx(spearmanr(fractures["severity"], fractures["height_loss"]).statistic)
    assert result["n"] == len(fractures) < len(known)


def test_predictions_of_scans_that_are_not_in_the_cohort_are_refused():
    stranger = COHORT.dae.iloc[:1].assign(scan_id="elsewhere")
    with pytest.raises(EvaluationError, match="not in the cohort: elsewhere"):
        _evaluate(predictions=pd.concat([COHORT.dae, stranger]))


def test_labels_that_give_a_failed_scan_to_a_patient_of_no_split_are_refused():
    # Only scans with crops are compared with the sample sheet before.
    failed = COHORT.scans.loc[COHORT.scans["state"] == "failed", "scan_id"].iloc[0]
    labels = COHORT.labels.assign(patient_id=COHORT.labels["patient_id"].mask(COHORT.labels["scan_id"] == failed, "q"))
    with pytest.raises(EvaluationError, match="no split: q; correct patient_id"):
        _evaluate(labels=labels)
