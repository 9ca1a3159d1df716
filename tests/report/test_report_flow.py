"""Cohort flow: every number reconciles, and anything lost, doubled or without a reason stops the report."""

from dataclasses import replace

import pytest

from helpers.synthetic_predictions import Cohort, make_cohort
from vertegrade.evaluation.cases import labelled_cases
from vertegrade.plotting import save_figure
from vertegrade.report.flow import FlowError, _check_sums, cohort_flow, flow_steps, flow_table
from vertegrade.report.flow_figure import flow_figure

COHORT = make_cohort(20)


def _converted(cohort: Cohort = COHORT):
    """States after conversion, where P001-1 is left out; P007-1 is left out by localization."""
    later = cohort.scans["scan_id"] == "P007-1"
    return cohort.scans.assign(
        state=cohort.scans["state"].where(~later, "done"), reason=cohort.scans["reason"].where(~later, "")
    )


def _flow(cohort: Cohort = COHORT, index: dict | None = None):
    scans = [scan for scan, _ in cohort.sheet]
    return cohort_flow(scans, _converted(), cohort.landmarks, cohort.tables(), cohort.dae, index)


def test_each_step_is_the_one_before_less_what_was_left_out():
    block = _flow()["all"]
    assert block["scans"] == {
        "in_sheet": 20,
        "not_converted": {"bad_pixels (failed)": 1},
        "converted": 19,
        "not_localized": {"uneven_spacing (excluded)": 1},
        "localized": 18,
    }
    bones = block["vertebrae"]
    assert bones["found"] == 18 * 14
    assert bones["found"] - bones["not_cropped"]["outside_scan"] == bones["cropped"] == bones["graded"]
    assert bones["graded"] - sum(bones["not_labelled"].values()) == bones["evaluated"]
    assert set(bones["not_labelled"]) == {"excluded_by_reader", "unlabelled"}


def test_the_evaluated_vertebrae_are_those_that_the_metrics_count():
    cases = labelled_cases(COHORT.dae, COHORT.tables())
    for split, block in _flow()["splits"].items():
        assert block["vertebrae"]["evaluated"] == (cases["evaluable"] & (cases["split"] == split)).sum()


def test_exclusions_name_scan_split_and_reason():
    assert [(row["scan_id"], row["split"], row["reason"]) for row in _flow()["exclusions"]] == [
        ("P001-1", "test", "bad_pixels"),
        ("P007-1", "validation", "uneven_spacing"),
    ]


def test_flags_count_localized_scans_and_their_graded_vertebrae():
    flags = {"P001-1": "metal", "P002-1": "metal clipped", "P003-1": "metal"}  # P001-1 was left out
    scans = COHORT.scans.assign(flags=COHORT.scans["scan_id"].map(flags).fillna(""))
    graded = COHORT.dae[COHORT.dae["evaluable"]].groupby("scan_id").size()
    predictions = COHORT.dae.assign(flags=COHORT.dae["scan_id"].map(flags).fillna(""))
    assert _flow(replace(COHORT, scans=scans, dae=predictions))["flags"] == [
        {"flag": "metal", "scans": 2, "vertebrae": graded["P002-1"] + graded["P003-1"]},
        {"flag": "clipped", "scans": 1, "vertebrae": graded["P002-1"]},
    ]
    assert _flow()["flags"] == []


def test_flags_of_single_vertebrae_are_counted_with_their_scans():  # field test A11
    """One of a scan's vertebrae, not all of them; one that is not graded does not count."""
    mine = COHORT.dae[COHORT.dae["evaluable"]].groupby("scan_id").head(1).iloc[:2].index
    out = COHORT.dae[~COHORT.dae["evaluable"]].index[0]
    predictions = COHORT.dae.assign(flags="")
    predictions.loc[[*mine, out], "flags"] = "doubtful_points"
    assert _flow(replace(COHORT, dae=predictions))["flags"] == [{"flag": "doubtful_points", "scans": 2, "vertebrae": 2}]


def test_withheld_vertebrae_are_left_out_for_their_reason_and_count_in_the_flags():
    odd = COHORT.dae[COHORT.dae["evaluable"]].index[:3]
    predictions = COHORT.dae.assign(flags="")
    predictions.loc[odd, ["evaluable", "reason", "flags"]] = [False, "unlike_training", "unlike_training"]
    predictions.loc[odd[0], "flags"] += " look_at_this"
    flow = _flow(replace(COHORT, dae=predictions))
    bones = flow["all"]["vertebrae"]
    assert bones["not_graded"] == {"unlike_training": 3}
    assert bones["graded"] == bones["cropped"] - 3
    assert {row["flag"]: row["vertebrae"] for row in flow["flags"]} == {"unlike_training": 3, "look_at_this": 1}


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


INDEX = {
    "files": {"found": 2100, "left_out": {"not_dicom": 90, "localizer": 10}, "ct": 2000},
    "images": {"found": 25, "left_out": {"too_few_slices": 4}, "scans": 21},
    "scans": [*(f"P{number:03d}-1" for number in range(1, 20)), "gone-1", "gone-2"],
}


def test_files_series_and_what_a_person_did_to_the_sheet_stand_before_the_scans():
    flow = _flow(index=INDEX)
    assert flow["index"]["sheet"] == {"removed": 2, "added": 1}
    steps = {step["name"]: (step["count"], step["lost"]) for step in flow_steps(flow)}
    assert list(steps.items())[:5] == [
        ("Files found", (2100, [])),
        ("Files of CT images", (2000, [("localizer", 10), ("not_dicom", 90)])),
        ("CT series and volumes in them", (25, [])),
        ("Scans indexed", (21, [("too_few_slices", 4)])),
        ("Scans in the sample sheet (1 added by hand)", (20, [("rows removed by hand", 2)])),
    ]


@pytest.mark.parametrize(("block", "key"), [("files", "ct"), ("images", "found"), ("images", "scans")])
def test_an_index_that_does_not_reconcile_is_refused(block, key):
    broken = INDEX | {block: INDEX[block] | {key: INDEX[block][key] + 1}}
    with pytest.raises(FlowError, match=r"less \d+ left out is not"):
        _flow(index=broken)


def test_the_table_adds_up_step_by_step():
    table = flow_table(_flow(index=INDEX))
    counts = table[table["left_out"] == ""].set_index("step")["count"]
    lost = table[table["left_out"] != ""].groupby("step")["count"].sum()
    assert counts["Files found"] + lost["Files of CT images"] == counts["Files of CT images"]
    assert counts["Scans converted"] + lost["Scans localized"] == counts["Scans localized"] == 18
    assert counts["Vertebrae graded"] + lost["Graded and labelled"] == counts["Graded and labelled"]


def test_the_figure_says_each_count_and_reason(tmp_path):
    steps = flow_steps(_flow(index=INDEX))
    texts = "\n".join(text.get_text() for text in flow_figure(steps).axes[0].texts)
    for step in steps:
        assert f"{step['name']}\n{step['count']}" in texts
        assert all(f"{count} × {reason}" in texts for reason, count in step["lost"])
    assert "Research use only" in texts
    for name in ("a.svg", "b.svg"):
        save_figure(flow_figure(steps), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


BROKEN = {
    "after conversion and localization differ": lambda c: replace(
        c, scans=c.scans.assign(reason=c.scans["reason"].replace("bad_pixels", "other"))
    ),
    "without a state": lambda c: replace(c, scans=c.scans.iloc[1:]),
    "not in the sheet": lambda c: replace(c, sheet=c.sheet[1:]),
    "left out without a known reason": lambda c: replace(c, scans=c.scans.assign(reason="")),
    "left out without a known reason: P": lambda c: replace(c, scans=c.scans.assign(reason="unheard_of")),
    "that are not done": lambda c: replace(c, scans=c.scans.assign(state="failed", reason="x")),
    "without a split": lambda c: replace(c, splits=c.splits.iloc[1:]),
    "not found": lambda c: replace(c, landmarks=c.landmarks.iloc[1:]),
    "without a crop and without": lambda c: replace(c, crops=c.crops.iloc[1:]),
    "crops left out without": _with_silent_crop,
    "without a prediction": lambda c: replace(c, dae=c.dae.iloc[1:]),
    "predictions without a crop": lambda c: replace(c, crops=c.crops.iloc[1:]),
    "whose crop was left out": lambda c: replace(c, dae=c.dae.assign(evaluable=True)),
    "ungraded without a known reason": lambda c: replace(c, dae=c.dae.assign(reason="")),
    "ungraded without a known reason: ": lambda c: replace(c, dae=c.dae.assign(reason="unheard_of")),
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
