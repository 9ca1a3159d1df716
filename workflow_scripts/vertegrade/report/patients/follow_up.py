"""What changed between scans of a patient, in the words and rows of the patient's page; worst change first."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from vertegrade.follow_up.verdicts import NEW, PROGRESSED, UNCLEAR
from vertegrade.level_texts import is_uncertain, level_text
from vertegrade.report.patients.words import plural, spans
from vertegrade.tables import HEIGHTS
from vertegrade.vertebra_reasons import doubts_of

REASONS = {
    "levels_unsure": "it is unsure which vertebra is which in both scans",
    "not_measured": "its heights were not measured in both scans",
    "taller": "a height grew: cement, a wrong point, or another vertebra",
    "error_too_large": "the error of the heights is too large to tell",
}
PAIR_REASONS = {
    "scan_left_out": "Not compared: one of the scans was left out.",
    "none_in_common": "Not compared: no vertebra was measured in both scans.",
    "levels_unsure": "Nothing is said of changes: it is unsure which vertebra is which in both scans.",
}


@dataclass(frozen=True)
class Change:
    """A row of the table. heights: `24.1 → 16.2 mm` and `−33 % ± 4 %` of each column, none where not measured.

    doubt: `doubtful: unlike training (month 18)`, "" for none.
    """

    level: str
    verdict: str
    finding: str
    doubt: str
    heights: Sequence[tuple[str, str]]
    grades: str
    severity: str


@dataclass(frozen=True)
class Comparison:
    """Two scans of a patient. findings: new and progressed fractures in words. notes: what to know of the matching."""

    title: str
    scans: tuple[str, str]
    summary: str
    findings: Sequence[str]
    notes: Sequence[str]
    rows: Sequence[Change]


def comparisons(changes: pd.DataFrame, scans: pd.DataFrame) -> list[Comparison]:
    """The comparisons of one patient: FOLLOW_UP and FOLLOW_UP_SCANS of this patient, in their order."""
    rows = _records(changes)
    found = []
    for pair in _records(scans):
        its = [row for row in rows if all(row[name] == pair[name] for name in ("scan_before", "scan_after"))]
        found.append(_comparison(pair, sorted(its, key=_urgency)))
    return found


def _comparison(pair: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Comparison:
    changed = [row for row in rows if row["verdict"] in (NEW, PROGRESSED)]
    return Comparison(
        title=f"Month {pair['months_before']:g} to month {pair['months_after']:g}",
        scans=(pair["scan_before"], pair["scan_after"]),
        summary=PAIR_REASONS.get(pair["reason"]) or _summary(pair, rows),
        findings=[finding(row) for row in changed],
        notes=_notes(pair),
        rows=[
            Change(
                level=_level(row),
                verdict=row["verdict"],
                finding=_verdict(row),
                doubt=_doubt(row),
                heights=[_height(row, column) for column in HEIGHTS] if row["column"] else [],
                grades=_grades(row),
                severity=_severity(row),
            )
            for row in rows
        ],
    )


def finding(row: Mapping[str, Any]) -> str:
    """`L1: new wedge fracture since month 0: anterior height 24 → 16 mm (−33 %, ± 4 %)`, and any doubt.

    row: of FOLLOW_UP.
    """
    column = row["column"]
    heights = f"{row[f'height_{column}_before_mm']:.0f} → {row[f'height_{column}_after_mm']:.0f} mm"
    change = f"{_percent(row[f'change_{column}'])}, ± {100 * row['further_loss_error']:.0f} %"
    told = f"{_level(row)}: {_verdict(row)} since month {row['months_before']:g}: {column} height {heights} ({change})"
    return "; ".join(filter(None, (told, _doubt(row))))


def _summary(pair: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    """`1 new and 2 progressed vertebral fractures; 5 vertebrae stable, 1 unclear.`"""
    new, progressed = pair["new"], pair["progressed"]
    told = [row["vertebra_after"] for row in rows if row["verdict"] != UNCLEAR]
    if new or progressed:
        kinds = [f"{count} {name}" for count, name in ((new, "new"), (progressed, "progressed")) if count]
        doubtful = sum(row["verdict"] in (NEW, PROGRESSED) and bool(_doubt(row)) for row in rows)
        text = f"{' and '.join(kinds)} vertebral fracture{'s' if new + progressed > 1 else ''}"
        text += f" ({doubtful} doubtful); " if doubtful else "; "
        text += f"{plural(pair['stable'], 'vertebra')} stable"
    elif told:
        text = f"No new or progressed vertebral fracture of {spans(told)}"
    else:
        text = "Nothing can be said of any vertebra"
    unclear = f", {pair['unclear']} unclear" if pair["unclear"] and told else ""
    return f"{text}{unclear}."


def _notes(pair: Mapping[str, Any]) -> list[str]:
    if not pair["shift"] or not pair["compared"]:
        return []
    way, levels = "down" if pair["shift"] > 0 else "up", plural(abs(pair["shift"]), "level")
    return [
        f"The names of the vertebrae differ by {levels} between the scans: those of scan {pair['scan_after']} lie "
        f"{levels} further {way} by the names of scan {pair['scan_before']} "
        f"(probability {pair['match_probability']:.2f}). Vertebrae were matched by what they look like. Which of the "
        "names are right is not known: count them."
    ]


def _level(row: Mapping[str, Any]) -> str:
    """The name in the later scan, `about L1` where it is uncertain; that in the earlier one too where it differs."""
    before, after = (level_text(row[f"vertebra_{of}"], row[f"label_confidence_{of}"]) for of in ("before", "after"))
    if row["vertebra_before"] != row["vertebra_after"]:
        return f"{after} (month {row['months_before']:g}: {before})"
    # One name for both scans is as uncertain as in the worse of them.
    return before if is_uncertain(row["label_confidence_before"]) else after


def _doubt(row: Mapping[str, Any]) -> str:
    """What questions a row, and in which scan: `doubtful: unlike training (month 18)`; "" for nothing."""
    months: dict[str, list[str]] = {}
    for of in ("before", "after"):
        for word in doubts_of(row[f"flags_{of}"]):
            months.setdefault(word, []).append(f"{row[f'months_{of}']:g}")
    told = [f"{word} (month{'s' if len(of) > 1 else ''} {' and '.join(of)})" for word, of in months.items()]
    return f"doubtful: {', '.join(told)}" if told else ""


def _verdict(row: Mapping[str, Any]) -> str:
    shape = f"{row['shape']} " if row["shape"] else ""
    if row["verdict"] == NEW:
        return f"new {shape}fracture"
    if row["verdict"] == PROGRESSED:
        return f"progressed {shape}fracture"
    return f"unclear: {REASONS[row['reason']]}" if row["verdict"] == UNCLEAR else "stable"


def _height(row: Mapping[str, Any], column: str) -> tuple[str, str]:
    mm = f"{row[f'height_{column}_before_mm']:.1f} → {row[f'height_{column}_after_mm']:.1f}"
    return mm, f"{_percent(row[f'change_{column}'])} ± {100 * row[f'change_{column}_error']:.0f} %"


def _grades(row: Mapping[str, Any]) -> str:
    before, after = (str(grade) if grade >= 0 else "–" for grade in (row["grade_before"], row["grade_after"]))
    return "" if before == after == "–" else f"{before} → {after}"


def _severity(row: Mapping[str, Any]) -> str:
    if math.isnan(row["severity_change"]):
        return ""
    low, high = (_signed(row[f"severity_change_{end}"]) for end in ("low", "high"))
    return f"{_signed(row['severity_change'])} ({low} to {high})"


def _signed(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−") if f"{abs(value):.1f}" != "0.0" else "0.0"


def _percent(share: float) -> str:
    value = round(100 * share)
    return f"{'−' if value < 0 else '+' if value > 0 else ''}{abs(value)} %"


def _urgency(row: Mapping[str, Any]) -> tuple[int, float]:
    """By which rows are sorted: fractures by what was lost, then what is unclear, then the rest by what was lost."""
    loss = row["further_loss"]
    rank = 0 if row["verdict"] in (NEW, PROGRESSED) else 1 if row["verdict"] == UNCLEAR else 2
    return rank, math.inf if math.isnan(loss) else -loss


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
