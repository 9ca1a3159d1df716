"""The state of a run in a few lines: scans done, excluded and failed and why, the worst findings, the page's place."""

from collections.abc import Collection, Iterable
from pathlib import Path

import pandas as pd

from vertegrade.levels import NAMES
from vertegrade.methods import MAIN
from vertegrade.tables import PREDICTIONS, SCANS, read_table

SHOWN = 5  # scans or findings that are named


def outcome_lines(results: str, shards: Iterable[str], scans: Collection[str]) -> list[str]:
    """The lines, from the tables that a run has made so far.

    shards: those of the cohort. scans: its ids. A scan without a state was not reached yet. Scans in tables of an
    earlier, larger cohort are not counted.
    """
    states = _states(Path(results), shards)
    states = states[states["scan_id"].isin(scans)]
    lines = scan_lines(states, len(scans) - len(states))
    predictions = Path(results, f"predictions/{MAIN}.parquet")
    if predictions.is_file():
        graded = read_table(predictions, PREDICTIONS)
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


def finding_lines(predictions: pd.DataFrame) -> list[str]:
    """How many vertebrae of PREDICTIONS have which grade, and the most severe ones."""
    graded = predictions[predictions["evaluable"]]
    grades = graded["grade"].value_counts().sort_index()
    counted = ", ".join(f"{count} of grade {grade}" for grade, count in grades.items())
    lines = [f"{len(graded)} of {len(predictions)} vertebrae graded{f' ({counted})' if counted else ''}"]
    fractured = graded[graded["grade"] > 0]
    worst = fractured.sort_values(["severity", "scan_id", "vertebra"], ascending=[False, True, True]).head(SHOWN)
    if len(worst):
        levels = worst["vertebra"].map(NAMES)
        named = [
            f"{scan} {level} grade {grade}"
            for scan, level, grade in zip(worst["scan_id"], levels, worst["grade"], strict=True)
        ]
        lines.append(f"most severe: {', '.join(named)}")
    return lines


def why_not_well(states: pd.DataFrame, fail_on: str) -> str:
    """Why a run counts as failed by `run.fail_on`, from SCANS of the whole cohort; "" where it does not."""
    failed, done = (int((states["state"] == state).sum()) for state in ("failed", "done"))
    if fail_on == "any" and failed:
        return f"{failed} scan(s) failed (run.fail_on is any)"
    if fail_on == "all" and failed and not done:
        return "no scan is done (run.fail_on is all)"
    return ""
