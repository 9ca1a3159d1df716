"""Reasons and flags: each is in use, explained, and stands in docs/reference/inputs.md as the code has it."""

import re
from pathlib import Path

from vertegrade.reasons import FLAGS, REASONS, reasons_table
from vertegrade.vertebra_reasons import VERTEBRA_REASONS, flags_table, vertebra_reasons_table

ROOT = Path(__file__).resolve().parents[2]
GIVEN = re.compile(r'Refused\(\s*"(\w+)"')


def code_below(folder: Path) -> str:
    return "".join(
        file.read_text(encoding="utf-8") for file in folder.rglob("*.py") if not file.name.endswith("reasons.py")
    )


def test_the_page_has_all_tables() -> None:
    page = (ROOT / "docs/reference/inputs.md").read_text(encoding="utf-8")
    assert reasons_table() in page
    assert vertebra_reasons_table() in page
    assert flags_table() in page


def test_every_reason_and_flag_is_given_somewhere_and_tested() -> None:
    library = ROOT / "workflow_scripts/vertegrade"
    everywhere, reading = code_below(library), code_below(library / "ct")
    assert set(GIVEN.findall(everywhere)) == set(REASONS)
    tests = code_below(ROOT / "tests/ct")
    assert not [reason for reason in GIVEN.findall(reading) if reason not in tests]
    tests += code_below(ROOT / "tests/spine") + code_below(ROOT / "tests/cohort")
    assert not [flag for flag in FLAGS if flag not in tests]
    assert not [flag for flag in FLAGS if f'"{flag}"' not in everywhere]


def test_every_reason_says_what_it_means_and_what_to_do() -> None:
    for about in REASONS.values():
        assert about.state in ("excluded", "failed")
        assert all(text.endswith(".") and "|" not in text for text in (about.meaning, about.remedy))


def test_every_reason_of_a_vertebra_is_given_somewhere_and_tested() -> None:
    given = code_below(ROOT / "workflow_scripts/vertegrade")
    tests = code_below(ROOT / "tests")
    by_name = {"not_graded": "NOT_GRADED", "foreign_material": "FOREIGN_MATERIAL"}
    for code, about in VERTEBRA_REASONS.items():
        written = by_name.get(code, f'"{code}"')
        assert written in given, code
        assert written in tests, code
        assert all(text.endswith(".") and "|" not in text for text in (about.meaning, about.remedy))
