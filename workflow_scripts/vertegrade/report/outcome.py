"""The state of a run in a few lines: scans done, excluded and failed and why, the worst findings, the page's place."""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from vertegrade.level_texts import level_text
from vertegrade.tables import GRADE_TABLE, KEY, SCANS, UNLIKE_TRAINING, has_flag, read_table
from vertegrade.vertebra_reasons import doubts_of

SHOWN = 5  # scans or findings that are named


def outcome_lines(results: str, shards: Iterable[str], scans: Collection[str]) -> list[str]:
    """The lines, from the tables that a run has made so far.

    shards: those of the cohort. scans: its ids. A scan without a state was not reached yet. Scans in tables of an
    earlier, larger cohort are not counted.
    """
    states = _states(Path(results), shards)
    states = states[states["scan_id"].isin(scans)]
    lines = scan_lines(states, len(scans) - len(states))
    grades = Path(results, "grades.csv")
    if grades.is_file():
        graded = read_table(grades, GRADE_TABLE)
        lines += finding_lines(graded[graded["scan_id"].isin(scans)])
    return lines


def _states(results: Path, shards: Iterable[str]) -> pd.DataFrame:
    """SCANS of the shards, after localization where it has run."""
    tables = []
    for shard in shards:
        places = [results / f"landmarks/{shard}_scans.parquet", results / f"ct/{shard}.parquet"]
        tables += [read_table(place, SCANS) for place in places if place.is_file()][:1]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(SCANS.columns))


def scan_lines(states: pd.DataFrame, not_reached: int = 0) -> list[str]:
    """Counts by state and reason of SCANS, and the first scans that are not done."""
    counts = [f"{(states['state'] == 'done').sum()} done"]
    for state in ("excluded", "failed"):
        reasons = states.loc[states["state"] == state, "reason"].value_counts().sort_index()
        if len(reasons):
            counted = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
            counts.append(f"{reasons.sum()} {state} ({counted})")
    counts += [f"{not_reached} not reached"] if not_reached else []
    lines = [f"{len(states) + not_reached} scan(s): {', '.join(counts)}"]
    left_out = states[states["state"] != "done"].sort_values("scan_id")
    if len(left_out):
        named = [f"{row.scan_id} ({row.reason})" for row in left_out.head(SHOWN).itertuples()]
        more = f" and {len(left_out) - SHOWN} more" if len(left_out) > SHOWN else ""
        lines.append(f"left out: {', '.join(named)}{more}; what each means and what to do: docs/reference/inputs.md")
    return lines


def finding_lines(grades: pd.DataFrame) -> list[str]:
    """How many vertebrae of GRADE_TABLE have which grade, the most severe ones, and those withheld that seem severe."""
    graded = grades[grades["evaluable"]]
    of_grade = graded["grade"].value_counts().sort_index()
    counted = ", ".join(f"{count} of grade {grade}" for grade, count in of_grade.items())
    withheld = int((grades["reason"] == UNLIKE_TRAINING).sum())
    without = f"; {withheld} withheld, as they are unlike those of the training (unlike_training)" if withheld else ""
    lines = [f"{len(graded)} of {len(grades)} vertebrae graded{f' ({counted})' if counted else ''}{without}"]
    fractured = graded[graded["grade"] > 0]
    worst = fractured.sort_values(["severity", *KEY], ascending=[False, True, True]).head(SHOWN)
    if len(worst):
        named = [
            f"{_name(row)} grade {row.grade}{_in_brackets(doubts_of(str(row.flags)))}" for row in worst.itertuples()
        ]
        lines.append(f"most severe: {', '.join(named)}")
    look = grades[has_flag(grades, "look_at_this")]
    if len(look):
        named = [_name(row) for row in look.head(SHOWN).itertuples()]
        more = f" and {len(look) - SHOWN} more (flag look_at_this of grades.csv)" if len(look) > SHOWN else ""
        lines.append(f"look at these yourself, their withheld grade would be 2 or 3: {', '.join(named)}{more}")
    return lines


def _name(row: Any) -> str:
    """Scan and level of a row of GRADE_TABLE."""
    return f"{row.scan_id} {level_text(row.vertebra, row.label_confidence)}"


def _in_brackets(words: list[str]) -> str:
    return f" ({', '.join(words)})" if words else ""


def why_not_well(states: pd.DataFrame, fail_on: str) -> str:
    """Why a run counts as failed by `run.fail_on`, from SCANS of the whole cohort; "" where it does not."""
    failed, done = (int((states["state"] == state).sum()) for state in ("failed", "done"))
    if fail_on == "any" and failed:
        return f"{failed} scan(s) failed (run.fail_on is any)"
    if fail_on == "all" and failed and not done:
        return "no scan is done (run.fail_on is all)"
    return ""
