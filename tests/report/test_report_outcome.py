"""How a run stands, in a few lines, and when that counts as failed."""

import re
from pathlib import Path

import pandas as pd
import pytest

from helpers.synthetic_predictions import make_cohort
from vertegrade.levels import LABEL_OF
from vertegrade.report.outcome import finding_lines, outcome_lines, scan_lines, why_not_well
from vertegrade.tables import PREDICTIONS, empty_table

COHORT = make_cohort(20)


def states(*pairs: tuple[str, str]) -> pd.DataFrame:
    rows = [{"scan_id": f"s{n}", "state": state, "reason": reason} for n, (state, reason) in enumerate(pairs)]
    return pd.DataFrame(rows, columns=["scan_id", "state", "reason"])


def test_scans_are_counted_by_state_and_reason_and_those_left_out_are_named() -> None:  # field test B9
    lines = scan_lines(states(("done", ""), ("failed", "path_missing"), ("excluded", "no_spine")), not_reached=2)
    assert lines == [
        "5 scan(s): 1 done, 1 excluded (1 no_spine), 1 failed (1 path_missing), 2 not reached",
        "left out: s1 (path_missing), s2 (no_spine); what each means and what to do: docs/reference/inputs.md",
    ]
    assert scan_lines(states(("done", ""))) == ["1 scan(s): 1 done"]
    assert scan_lines(states(), not_reached=3) == ["3 scan(s): 0 done, 3 not reached"]
    assert " and 2 more; " in scan_lines(states(*[("failed", "broken_file")] * 7))[1]


def test_the_worst_findings_are_named_the_most_severe_first() -> None:  # field test B9
    counts, worst = finding_lines(COHORT.dae)
    graded = COHORT.dae[COHORT.dae["evaluable"]]
    assert counts.startswith(f"{len(graded)} of {len(COHORT.dae)} vertebrae graded (")
    assert worst.startswith("most severe: ")
    named = re.findall(r"(\S+) ([CTL]\d+) grade (\d)", worst)
    severity = graded.set_index(["scan_id", "vertebra"])["severity"]
    assert [severity[scan, LABEL_OF[level]] for scan, level, _ in named] == sorted(severity, reverse=True)[:5]
    assert worst.count(" grade ") == 5
    assert finding_lines(empty_table(PREDICTIONS)) == ["0 of 0 vertebrae graded"]


def test_the_lines_say_what_scans_of_the_cohort_have_reached(tmp_path: Path) -> None:  # field test B9
    ids = set(COHORT.scans["scan_id"])
    assert outcome_lines(str(tmp_path), ["0"], ids) == ["20 scan(s): 0 done, 20 not reached"]
    for folder in ("ct", "landmarks", "predictions"):
        (tmp_path / folder).mkdir()
    COHORT.scans.assign(state="done", reason="").to_parquet(tmp_path / "ct/0.parquet")
    assert outcome_lines(str(tmp_path), ["0"], ids) == ["20 scan(s): 20 done"]
    COHORT.scans.to_parquet(tmp_path / "landmarks/0_scans.parquet")  # localization has the last word
    COHORT.dae.to_parquet(tmp_path / "predictions/dae.parquet")
    lines = outcome_lines(str(tmp_path), ["0"], ids)
    assert lines[0].startswith("20 scan(s): 18 done, 1 excluded")
    assert lines[-1].startswith("most severe: ")
    left = {"new", *sorted(ids)[:5]}  # the tables are those of an earlier, larger cohort
    lines = outcome_lines(str(tmp_path), ["0"], left)
    assert lines[0].startswith("6 scan(s): ")
    assert lines[0].endswith(", 1 not reached")
    assert not any(scan in lines[-1] for scan in ids - left)


@pytest.mark.parametrize(
    ("fail_on", "pairs", "counts_as_failed"),
    [
        ("all", [("failed", "path_missing")], True),
        ("all", [("failed", "path_missing"), ("excluded", "no_spine")], True),
        ("all", [("excluded", "no_spine")], False),
        ("all", [("failed", "path_missing"), ("done", "")], False),
        ("any", [("failed", "path_missing"), ("done", "")], True),
        ("any", [("excluded", "no_spine"), ("done", "")], False),
        ("none", [("failed", "path_missing")], False),
    ],
)
def test_when_a_run_counts_as_failed(fail_on: str, pairs: list[tuple[str, str]], counts_as_failed: bool) -> None:
    assert bool(why_not_well(states(*pairs), fail_on)) is counts_as_failed  # field test B9
