"""How a run stands, in a few lines, and when that counts as failed."""

import re
from pathlib import Path

import pandas as pd
import pytest

from helpers.synthetic_predictions import make_cohort
from vertegrade.grading.grades import grade_table
from vertegrade.levels import LABEL_OF
from vertegrade.report.outcome import finding_lines, outcome_lines, scan_lines, why_not_well
from vertegrade.tables import GRADE_TABLE, KEY, empty_table, write_table

COHORT = make_cohort(20)
GRADES = grade_table({"dae": COHORT.dae})


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
    counts, worst = finding_lines(GRADES)
    graded = GRADES[GRADES["evaluable"]]
    assert counts.startswith(f"{len(graded)} of {len(GRADES)} vertebrae graded (")
    assert worst.startswith("most severe: ")
    named = re.findall(r"(\S+) ([CTL]\d+) grade (\d)", worst)
    severity = graded.set_index(KEY)["severity"]
    assert [severity[scan, LABEL_OF[level]] for scan, level, _ in named] == sorted(severity, reverse=True)[:5]
    assert worst.count(" grade ") == 5
    assert finding_lines(empty_table(GRADE_TABLE)) == ["0 of 0 vertebrae graded"]


def test_a_grade_is_named_with_what_is_doubtful_of_it() -> None:
    worst = GRADES.sort_values(["severity", *KEY], ascending=[False, True, True]).index[0]
    doubtful = GRADES.assign(flags="")
    doubtful.loc[worst, ["flags", "label_confidence"]] = ["metal methods_disagree unlike_training", 0.4]
    named = finding_lines(doubtful)[1].removeprefix("most severe: ").split(" P")[0]
    assert re.fullmatch(r"\S+ about [TL]\d+ grade 3 \(unlike training, methods disagree\),", named)


def test_withheld_vertebrae_are_counted_and_the_severe_ones_named() -> None:
    out = GRADES["evaluable"] & (GRADES["severity"] > 2)
    withheld = GRADES.assign(flags="")
    withheld.loc[out, ["evaluable", "reason", "flags"]] = [False, "unlike_training", "look_at_this unlike_training"]
    counts, worst, look = finding_lines(withheld)
    assert counts.startswith(f"{(GRADES['evaluable'] & ~out).sum()} of {len(GRADES)} vertebrae graded")
    assert "grade 3" not in worst
    assert counts.endswith(f"; {out.sum()} withheld, as they are unlike those of the training (unlike_training)")
    first = GRADES[out].iloc[0]
    assert f"would be 2 or 3: {first['scan_id']} {first['level']}, " in look
    assert look.endswith(f" and {out.sum() - 5} more (flag look_at_this of grades.csv)")


def test_the_lines_say_what_scans_of_the_cohort_have_reached(tmp_path: Path) -> None:  # field test B9
    ids = set(COHORT.scans["scan_id"])
    assert outcome_lines(str(tmp_path), ["0"], ids) == ["20 scan(s): 0 done, 20 not reached"]
    for folder in ("ct", "landmarks"):
        (tmp_path / folder).mkdir()
    COHORT.scans.assign(state="done", reason="").to_parquet(tmp_path / "ct/0.parquet")
    assert outcome_lines(str(tmp_path), ["0"], ids) == ["20 scan(s): 20 done"]
    COHORT.scans.to_parquet(tmp_path / "landmarks/0_scans.parquet")  # localization has the last word
    write_table(tmp_path / "grades.csv", GRADES, GRADE_TABLE)
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
