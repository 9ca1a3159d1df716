"""What changed between a patient's scans, on the page of the patient."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from helpers.page import Outline
from helpers.patients import COHORT, about, page, patients, pictures, placed
from vertegrade.follow_up.tables import FOLLOW_UP, FOLLOW_UP_SCANS
from vertegrade.levels import LABEL_OF
from vertegrade.report.patients.follow_up import comparisons, finding
from vertegrade.report.patients.pages import patient_page
from vertegrade.tables import HEIGHTS, check_table

PAIR = {"patient_id": "p1", "scan_before": "a", "scan_after": "b", "months_before": 0.0, "months_after": 18.5}


def row(level: str, verdict: str, after: tuple[float, float, float], reason: str = "", **more: Any) -> dict[str, Any]:
    """A vertebra that was 24 / 23 / 25 mm high."""
    before = np.array([24.0, 23.0, 25.0])
    change = np.array(after) / before - 1
    worst = int(change.argmin())
    made = PAIR | {"vertebra_before": LABEL_OF[level], "vertebra_after": LABEL_OF[level], "match_probability": 0.99}
    made |= {"verdict": verdict, "reason": reason, "shape": "wedge", "column": HEIGHTS[worst]}
    made |= {"further_loss": -change[worst], "further_loss_error": 0.04, "p_further_loss": 0.9}
    for n, name in enumerate(HEIGHTS):
        made |= {f"height_{name}_before_mm": before[n], f"height_{name}_after_mm": after[n]}
        made |= {f"change_{name}_mm": after[n] - before[n], f"change_{name}_error_mm": 0.9}
        made |= {f"change_{name}": change[n], f"change_{name}_error": 0.04}
    made |= {"severity_before": 0.2, "severity_after": 2.4, "severity_change": 2.2}
    made |= {"severity_change_low": 1.5, "severity_change_high": 2.7, "grade_before": 0, "grade_after": 2}
    return made | more


def table(*rows: dict[str, Any]) -> pd.DataFrame:
    return check_table(pd.DataFrame(rows, columns=list(FOLLOW_UP.columns)), FOLLOW_UP, "changes")


def pair(changes: pd.DataFrame, **more: Any) -> pd.DataFrame:
    counts = {name: int((changes["verdict"] == name).sum()) for name in ("new", "progressed", "stable", "unclear")}
    about_it = PAIR | {"reason": "", "shift": 0, "match_probability": 0.99, "compared": len(changes)} | counts | more
    return check_table(pd.DataFrame([about_it], columns=list(FOLLOW_UP_SCANS.columns)), FOLLOW_UP_SCANS, "pairs")


CHANGES = table(
    row("T12", "stable", (23.5, 23.0, 25.0), shape=""),
    row("L1", "new", (16.0, 18.0, 24.8)),
    row("L2", "progressed", (12.0, 18.0, 24.8)),
    row("L3", "unclear", (29.0, 23.0, 25.0), "taller"),
    row("L4", "stable", (24.5, 23.0, 25.1), shape=""),
)


def test_a_new_fracture_is_told_as_a_radiologist_would() -> None:
    changes = CHANGES.to_dict("records")
    told = "L1: new wedge fracture since month 0: anterior height 24 → 16 mm (−33 %, ± 4 %)"
    assert finding(changes[1]) == told  # type: ignore[arg-type]
    assert finding(changes[2]).startswith("L2: progressed wedge fracture")  # type: ignore[arg-type]


def test_the_worst_change_is_first_and_nothing_is_left_out() -> None:
    (compared,) = comparisons(CHANGES, pair(CHANGES))
    assert compared.title == "Month 0 to month 18.5"
    assert [change.level for change in compared.rows] == ["L2", "L1", "L3", "T12", "L4"]
    assert compared.summary == "1 new and 1 progressed vertebral fractures; 2 vertebrae stable, 1 unclear."
    assert [text[:2] for text in compared.findings] == ["L2", "L1"]
    unclear, stable = compared.rows[2:4]
    assert unclear.finding == "unclear: a height grew: cement, a wrong point, or another vertebra"
    assert (stable.finding, stable.heights[0]) == ("stable", ("24.0 → 23.5", "−2 % ± 4 %"))
    assert (stable.grades, stable.severity) == ("0 → 2", "+2.2 (+1.5 to +2.7)")


def test_without_a_change_the_levels_are_named() -> None:
    changes = CHANGES[CHANGES["verdict"] == "stable"]
    (compared,) = comparisons(changes, pair(changes))
    assert compared.summary == "No new or progressed vertebral fracture of T12, L4."


def test_names_that_differ_are_said_in_the_row_and_above_the_table() -> None:
    shifted = CHANGES.assign(vertebra_before=CHANGES["vertebra_after"] - 1)
    (compared,) = comparisons(shifted, pair(shifted, shift=-1))
    assert compared.rows[1].level == "L1 (month 0: T12)"
    assert "differ by 1 level between" in compared.notes[0]
    assert "further up by the names of scan a (probability 0.99)" in compared.notes[0]


def test_scans_that_are_not_compared_say_why() -> None:
    for reason, told in (
        ("scan_left_out", "was left out"),
        ("none_in_common", "no vertebra"),
        ("levels_unsure", "unsure"),
    ):
        (compared,) = comparisons(CHANGES[:0], pair(CHANGES[:0], reason=reason))
        assert told in compared.summary
        assert compared.rows == []


def test_the_page_has_a_table_and_is_as_before_without_follow_up() -> None:
    patient = patients()[0]
    compared = comparisons(CHANGES, pair(CHANGES))
    compared[0] = replace(compared[0], notes=["<b>names</b>"])
    text = patient_page(patient, placed(COHORT.landmarks), pictures(), about(), compared)
    outline = Outline(text)
    assert outline.open == []
    assert "Follow-up, month 0 to month 18.5:" in text
    assert text.index("L2: progressed") < text.index('id="follow-up-1"') < text.index('id="scan-0"')
    assert "&lt;b&gt;names" in text
    assert '<tr class="new"><th scope="row">L1</th>' in text
    plain = page(patient)
    for word in ("Follow-up", "changes", "follow-up"):
        assert word not in plain
