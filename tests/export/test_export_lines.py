"""The lines below the picture of a scan: what nobody may overlook comes first, and doubts stand beside grades."""

from typing import Any

import numpy as np

from helpers.records import record_of
from vertegrade.export.capture import summary_picture
from vertegrade.export.lines import grade_lines
from vertegrade.levels import LABEL_OF


def scan_of(severities: dict[str, float | str], **changes: dict[str, Any]) -> dict[str, Any]:
    """A scan of a record; changes of its vertebrae by their levels."""
    scan = record_of({LABEL_OF[level]: severity for level, severity in severities.items()})["scans"][0]
    return scan | {"vertebrae": [row | changes.get(row["level"], {}) for row in scan["vertebrae"]]}


def test_a_withheld_vertebra_to_look_at_has_the_first_line() -> None:
    scan = scan_of(
        {"T12": 2.7, "L1": "unlike_training", "L2": "unlike_training"},
        L1={"flags": ["unlike_training", "look_at_this"]},
    )
    assert grade_lines(scan, "dae") == [
        "L1: not evaluable, it may be a moderate or severe fracture: LOOK AT THE SCAN ITSELF",
        "T12: grade 3 (severity 2.7, 2.3-3.0)",
        "0 other vertebrae: grade 0",
        "not evaluable: L2",
    ]


def test_another_method_may_ask_for_a_look_at_a_graded_one() -> None:
    lines = grade_lines(scan_of({"L1": 0.2}, L1={"flags": ["look_at_this"]}), "dae")
    assert lines[0].startswith("L1: another method withholds a grade")
    assert lines[1:] == ["1 vertebra: grade 0"]


def test_an_uncertain_level_is_shown_as_such_wherever_it_stands() -> None:
    doubt = {"label_confidence": 0.6}
    scan = scan_of(
        {"T8": 1.2, "T9": 0.1, "T10": "unlike_training", "T11": "unlike_training"},
        T8=doubt,
        T9=doubt | {"flags": ["doubtful_points"]},
        T10=doubt,
        T11=doubt | {"flags": ["look_at_this"]},
    )
    text = "\n".join(grade_lines(scan, "dae"))
    assert [f"about {level}" in text for level in ("T8", "T9", "T10", "T11")] == [True] * 4


def test_doubts_stand_beside_the_grade() -> None:
    scan = scan_of(
        {"T8": 1.2, "T9": 0.1, "T10": 0.2},
        T8={"flags": ["doubtful_points", "methods_disagree", "corrected"]},
        T9={"flags": ["unlike_training"]},
    )
    assert grade_lines(scan, "dae") == [
        "T8: grade 1 (severity 1.2, 0.8-1.6), methods disagree, doubtful points",
        "2 other vertebrae: grade 0 (in doubt: T9)",
    ]


def test_a_severity_does_not_look_like_that_of_another_grade() -> None:
    lines = grade_lines(scan_of({"T8": 1.496, "T9": 1.52}), "dae")
    assert lines[0].startswith("T9: grade 2 (severity 1.5,")
    assert lines[1].startswith("T8: grade 1 (severity 1.49,")


def test_a_level_of_unknown_confidence_is_certain() -> None:
    assert grade_lines(scan_of({"T8": 2.0}, T8={"label_confidence": None}), "dae")[0].startswith("T8: grade 2")


def test_a_long_line_is_broken() -> None:
    line = f"not evaluable: {', '.join(['about T10'] * 24)}"
    sheet = summary_picture(np.zeros((80, 120, 3), np.uint8), [line])
    assert sheet.shape[1] < 1000
    assert sheet.shape[0] == 80 + 26 * (1 + 4) + 6
