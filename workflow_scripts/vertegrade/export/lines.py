"""The findings of a scan in lines for a picture that leaves the pages: nothing beside it says what is doubtful."""

import math
from typing import Any

from vertegrade.level_texts import level_text
from vertegrade.report.plain_words import plural
from vertegrade.report.severities import interval_text, severity_text
from vertegrade.vertebra_reasons import doubts_of

LOOK = "look_at_this"


def grade_lines(scan: dict[str, Any], method: str) -> list[str]:
    """The vertebrae of a scan of a record in words: to be looked at, fractured by severity, intact, not evaluable.

    Levels and doubts are as on the pages.
    """
    look, graded, left = [], [], []
    for vertebra in scan["vertebrae"]:
        says, name = vertebra["methods"].get(method), _name(vertebra)
        withheld = LOOK in vertebra["flags"]
        if withheld:
            who = "another method withholds a grade" if says and says["evaluable"] else "not evaluable"
            look.append(f"{name}: {who}, it may be a moderate or severe fracture: LOOK AT THE SCAN ITSELF")
        if says and says["evaluable"]:
            graded.append((vertebra, says))
        elif says and not withheld:
            left.append(name)
    fractured = [pair for pair in graded if pair[1]["grade"]]
    lines = [_graded(*pair) for pair in sorted(fractured, key=lambda pair: -pair[1]["severity"])]
    intact = [vertebra for vertebra, says in graded if not says["grade"]]
    lines.append(f"{plural(len(intact), 'other vertebra' if fractured else 'vertebra')}: grade 0{_in_doubt(intact)}")
    return [*look, *lines, *([f"not evaluable: {', '.join(left)}"] if left else [])]


def _name(vertebra: dict[str, Any]) -> str:
    confidence = vertebra["label_confidence"]
    return level_text(vertebra["vertebra"], math.nan if confidence is None else confidence)


def _graded(vertebra: dict[str, Any], says: dict[str, Any]) -> str:
    ends = interval_text(says["severity_low"], says["severity_high"], "-")
    doubts = "".join(f", {doubt}" for doubt in _doubts(vertebra))
    return f"{_name(vertebra)}: grade {says['grade']} (severity {severity_text(says['severity'])}, {ends}){doubts}"


def _in_doubt(vertebrae: list[dict[str, Any]]) -> str:
    names = [_name(vertebra) for vertebra in vertebrae if _doubts(vertebra)]
    return f" (in doubt: {', '.join(names)})" if names else ""


def _doubts(vertebra: dict[str, Any]) -> list[str]:
    return doubts_of(" ".join(vertebra["flags"]))
