"""What changed between two scans of a patient, and what it is called."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from helpers.landmarks import landmarks, measure, normal_heights
from vertegrade.follow_up import changes
from vertegrade.follow_up.changes import Tables, follow_up
from vertegrade.follow_up.matching import match
from vertegrade.follow_up.table import table_for_people
from vertegrade.levels import LABEL_OF
from vertegrade.settings.follow_up import FollowUpSettings
from vertegrade.tables import PREDICTIONS, SCANS, check_table, empty_table

LEVELS = [*range(LABEL_OF["T8"], LABEL_OF["L4"] + 1)]
L1, L2 = LABEL_OF["L1"], LABEL_OF["L2"]
PAIR = [("p1", "a", "b", 0.0, 12.0)]
Heights = dict[int, Any]


def scans(state: str = "done", thickness: float = 1.0) -> pd.DataFrame:
    rows = []
    for name in ("a", "b"):
        row: dict[str, Any] = dict.fromkeys(SCANS.columns, "")
        row |= {"patient_id": "p1", "scan_id": name, "state": state if name == "b" else "done"}
        numbers = ("slices", "slice_spacing_mm", "slice_thickness_mm", "pixel_mm")
        rows.append(row | dict.fromkeys(numbers, thickness))
    return check_table(pd.DataFrame(rows), SCANS, "scans")


def graded(scan: str, severities: dict[int, float]) -> pd.DataFrame:
    rows = []
    for label, severity in severities.items():
        row = {"patient_id": "p1", "scan_id": scan, "vertebra": label, "method": "dae", "split": "test"}
        row |= dict.fromkeys([c for c in PREDICTIONS.columns if c.startswith("p_")], 0.5) | {"signed_distance": 0.0}
        row |= {"severity": severity, "severity_low": max(severity - 0.3, 0), "severity_high": min(severity + 0.4, 3)}
        rows.append(row | {"grade": round(severity), "novelty": 0.5, "evaluable": True, "reason": ""})
    table = pd.DataFrame(rows)
    return check_table(table[[name for name in PREDICTIONS.columns if name in table]], PREDICTIONS, "grades")


def tables(after: Heights, before: Heights | None = None, **options: Any) -> Tables:
    """Two scans of a patient of normal heights but for those given; point_sd, state, thickness, predictions."""
    normal = {label: normal_heights(label) for label in LEVELS}
    sd = options.pop("point_sd", 0.1)
    found = pd.concat(
        [
            landmarks(normal | (heights or {}), scan=name, point_sd=sd)
            for name, heights in (("a", before), ("b", after))
        ],
        ignore_index=True,
    )
    predictions = options.pop("predictions", empty_table(PREDICTIONS))
    return Tables(scans(**options), found, measure(found), predictions)


def row_of(label: int, made: Tables, **settings: float) -> dict[str, Any]:
    found, _ = follow_up(PAIR, made, FollowUpSettings(**settings), 1)
    return found[found["vertebra_after"] == label].to_dict("records")[0]


def wedge(label: int, share: float) -> Heights:
    return {label: normal_heights(label) * [1 - share, 1 - share / 2, 1.0]}


def test_a_new_fracture_and_what_it_lost() -> None:
    row = row_of(L1, tables(wedge(L1, 0.3)))
    before = normal_heights(L1)
    assert (row["verdict"], row["reason"], row["column"], row["shape"]) == ("new", "", "anterior", "wedge")
    assert row["further_loss"] == pytest.approx(0.3)
    assert row["change_anterior_mm"] == pytest.approx(-0.3 * before[0])
    assert row["change_middle"] == pytest.approx(-0.15)
    assert row["p_further_loss"] > 0.99
    assert row["months_after"] == 12


def test_errors_are_of_both_scans_and_of_the_slice_thickness() -> None:
    row = row_of(L1, tables(wedge(L1, 0.3), point_sd=0.2, thickness=2.0))
    of_height = np.hypot(0.2 * np.sqrt(2), 2.0 * changes.THICKNESS_SHARE)
    assert row["change_anterior_error_mm"] == pytest.approx(of_height * np.sqrt(2))
    height = normal_heights(L1)[0]
    expected = 0.7 * np.hypot(of_height / height, of_height / (0.7 * height))
    assert row["further_loss_error"] == pytest.approx(expected)


def test_what_was_fractured_progresses_and_what_lost_less_is_stable() -> None:
    made = tables(wedge(L1, 0.5) | wedge(L2, 0.1), wedge(L1, 0.3))
    assert row_of(L1, made)["verdict"] == "progressed"
    assert row_of(L1, made)["further_loss"] == pytest.approx(1 - 0.5 / 0.7)
    assert row_of(L2, made)["verdict"] == "stable"


def test_the_limit_is_a_setting() -> None:
    made = tables(wedge(L1, 0.18))
    assert row_of(L1, made)["verdict"] == "new"
    assert row_of(L1, made, further_loss=0.2)["verdict"] == "stable"


def test_the_main_methods_grade_says_whether_it_was_fractured_before() -> None:
    grades = pd.concat([graded("a", {L1: 1.2}), graded("b", {L1: 2.4})], ignore_index=True)
    row = row_of(L1, tables(wedge(L1, 0.3), predictions=grades))
    assert (row["verdict"], row["grade_before"], row["grade_after"]) == ("progressed", 1, 2)
    assert row["severity_change"] == pytest.approx(1.2)
    assert row["severity_change_low"] == pytest.approx(1.2 - np.hypot(0.3, 0.4))
    assert row["severity_change_high"] == pytest.approx(1.2 + np.hypot(0.4, 0.3))


def test_what_is_doubtful_of_a_vertebra_goes_with_its_change() -> None:
    """Flags of measuring and of grading, of both scans, into the table for people too; a withheld grade takes none."""
    grades = pd.concat([graded("a", {L1: 0.2}), graded("b", {L1: 2.4})], ignore_index=True)
    grades["flags"] = ["qc_doubt", "look_at_this unlike_training"]
    grades.loc[1, ["evaluable", "reason"]] = [False, "unlike_training"]
    made = tables(wedge(L1, 0.3), predictions=grades)
    measured = made.measurements.assign(flags="", label_confidence=0.95)
    later = (measured["scan_id"] == "b") & (measured["vertebra"] == L1)
    measured.loc[later, ["flags", "label_confidence"]] = ["doubtful_points", 0.6]
    found, _ = follow_up(PAIR, replace(made, measurements=measured), FollowUpSettings(), 1)
    for table in (found[found["vertebra_after"] == L1], table_for_people(found).query("level_after == 'L1'")):
        (row,) = table.to_dict("records")
        assert row["verdict"] == "new"
        assert (row["flags_before"], row["flags_after"]) == ("qc_doubt", "doubtful_points look_at_this unlike_training")
        assert (row["label_confidence_before"], row["label_confidence_after"]) == (0.95, 0.6)


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (tables(wedge(L1, 0.18), point_sd=2.0), "error_too_large"),
        (tables({}, wedge(L1, 0.3)), "taller"),
        (tables({L1: normal_heights(L1) * [np.nan, 1, 1]}), "not_measured"),
    ],
)
def test_where_nothing_can_be_said_the_reason_is(made: Tables, reason: str) -> None:
    row = row_of(L1, made)
    assert (row["verdict"], row["reason"]) == ("unclear", reason)


def test_a_large_error_hides_no_loss_that_is_beyond_doubt() -> None:
    assert row_of(L1, tables(wedge(L1, 0.55), point_sd=1.3))["verdict"] == "new"


def test_levels_that_are_unsure_make_all_verdicts_unclear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "match", lambda before, after: replace(match(before, after), p=0.85))
    assert row_of(L1, tables(wedge(L1, 0.3)), certainty=0.8)["verdict"] == "new"
    found, pairs = follow_up(PAIR, tables(wedge(L1, 0.3)), FollowUpSettings(), 1)
    assert set(found["verdict"]) == {"unclear"}
    assert set(found["reason"]) == {"levels_unsure"}
    assert pairs["reason"].tolist() == ["levels_unsure"]
    assert pairs["unclear"].tolist() == [len(LEVELS)]


def test_a_scan_that_was_left_out_is_said_and_compared_with_nothing() -> None:
    found, pairs = follow_up(PAIR, tables({}, state="failed"), FollowUpSettings(), 1)
    assert found.empty
    assert pairs[["reason", "compared"]].to_numpy().tolist() == [["scan_left_out", 0]]


def test_the_table_for_people_names_levels_and_leaves_cells_empty() -> None:
    found, _ = follow_up(PAIR, tables(wedge(L1, 0.3)), FollowUpSettings(), 1)
    people = table_for_people(found)
    assert people["level_after"].tolist()[:2] == ["T8", "T9"]
    assert people["grade_after"].isna().all()
    assert set(people["research_use_only"]) == {"not a medical device"}
