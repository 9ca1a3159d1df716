"""Cohort flow: every number reconciles, and anything lost, doubled or without a reason stops the report."""

from dataclasses import replace

import pytest

from evaluation.synthetic_predictions import Cohort, make_cohort
from vertegrade.evaluation.cases import labelled_cases
from vertegrade.report.flow import FlowError, _check_sums, cohort_flow

COHORT = make_cohort(20)


def _flow(cohort: Cohort = COHORT, sheet: list[str] | None = None):
    scans = sheet if sheet is not None else [scan for scan, _ in cohort.sheet]
    return cohort_flow(scans, cohort.scans, cohort.landmarks, cohort.crops, cohort.labels, cohort.dae, cohort.splits)


def test_each_step_is_the_one_before_less_what_was_left_out():
    block = _flow()["all"]
    assert block["scans"] == {
        "in_sheet": 20,
        "excluded": {"uneven_spacing": 1},
        "failed": {"truncated_pixels": 1},
        "done": 18,
    }
    bones = block["vertebrae"]
    assert bones["found"] == 18 * 14
    assert bones["found"] - bones["not_cropped"]["outside_scan"] == bones["cropped"] == bones["graded"]
    assert bones["graded"] - sum(bones["not_labelled"].values()) == bones["evaluated"]
    assert set(bones["not_labelled"]) == {"graded_x", "unlabelled"}


def test_the_evaluated_vertebrae_are_those_that_the_metrics_count():
    cases = labelled_cases(COHORT.dae, COHORT.labels, COHORT.scans, COHORT.crops, COHORT.splits)
    for split, block in _flow()["splits"].items():
        assert block["vertebrae"]["evaluated"] == (cases["evaluable"] & (cases["split"] == split)).sum()


def test_exclusions_name_scan_split_and_reason():
    assert [(row["scan_id"], row["split"], row["reason"]) for row in _flow()["exclusions"]] == [
        ("P001-1", "test", "truncated_pixels"),
        ("P007-1", "validation", "uneven_spacing"),
    ]


def test_vertebrae_of_levels_that_are_not_graded_have_no_crop_but_a_reason():
    outside = COHORT.landmarks["vertebra"] == 24
    landmarks = COHORT.landmarks.copy()
    landmarks.loc[outside, "evaluable"], landmarks.loc[outside, "reason"] = False, "not_graded"
    cohort = replace(
        COHORT,
        landmarks=landmarks,
        crops=COHORT.crops[COHORT.crops["vertebra"] != 24],
        dae=COHORT.dae[COHORT.dae["vertebra"] != 24],
    )
    assert _flow(cohort)["all"]["vertebrae"]["not_cropped"]["not_graded"] == 18


def _with_silent_crop(cohort: Cohort) -> Cohort:
    return replace(cohort, crops=cohort.crops.assign(reason=""))


BROKEN = {
    "without a state": lambda c: replace(c, scans=c.scans.iloc[1:]),
    "not in the sheet": lambda c: replace(c, sheet=c.sheet[1:]),
    "left out without a reason": lambda c: replace(c, scans=c.scans.assign(reason="")),
    "that are not done": lambda c: replace(c, scans=c.scans.assign(state="failed", reason="x")),
    "without a split": lambda c: replace(c, splits=c.splits.iloc[1:]),
    "not found": lambda c: replace(c, landmarks=c.landmarks.iloc[1:]),
    "without a crop and without": lambda c: replace(c, crops=c.crops.iloc[1:]),
    "crops left out without": _with_silent_crop,
    "without a prediction": lambda c: replace(c, dae=c.dae.iloc[1:]),
    "predictions without a crop": lambda c: replace(c, crops=c.crops.iloc[1:]),
    "whose crop was left out": lambda c: replace(c, dae=c.dae.assign(evaluable=True)),
    "ungraded without a reason": lambda c: replace(c, dae=c.dae.assign(reason="")),
}


@pytest.mark.parametrize("problem", BROKEN)
def test_numbers_that_do_not_reconcile_are_refused_with_the_rows(problem):
    with pytest.raises(FlowError, match=problem) as caught:
        _flow(BROKEN[problem](COHORT))
    assert "P0" in str(caught.value)


def test_a_sum_that_does_not_add_up_is_refused():
    flow = _flow()
    flow["splits"]["test"]["vertebrae"]["evaluated"] += 1
    with pytest.raises(FlowError, match="do not add up"):
        _check_sums(flow)
