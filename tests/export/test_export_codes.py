"""Codes come from one table with sources, and those that circulate wrongly or mean something else are not in it."""

import re

import pytest
from pydicom.sr._concepts_dict import concepts

from vertegrade.export.codes import PRIVATE, SYSTEMS, CodeRow, code, code_table, note_code, severity_code, vertebra_code
from vertegrade.levels import NAMES

TABLE = code_table()


def in_pydicom(row: CodeRow) -> list[tuple[str, list[int]]]:
    """Meanings and context groups of a code in pydicom's dictionaries of PS3.16."""
    return [found[row.value] for found in concepts[row.scheme].values() if row.value in found]


@pytest.mark.parametrize("name", [name for name, row in TABLE.items() if "pydicom" in row.source])
def test_what_is_said_to_be_in_dicom_is_in_dicom(name: str) -> None:
    row = TABLE[name]
    found = in_pydicom(row)
    assert any(row.meaning.lower().split(" (")[0] in meaning.lower() for meaning, _ in found), found
    for group in re.findall(r"CID (\d+)", row.source):
        assert any(int(group) in groups for _, groups in found), (group, found)


def test_every_vertebra_has_a_code_of_its_own() -> None:
    rows = [vertebra_code(level) for level in NAMES.values()]
    assert len({(row.scheme, row.value) for row in rows}) == len(NAMES)
    assert {row.meaning for row in rows if row.scheme == PRIVATE} == {"L6 vertebra", "T13 vertebra"}


def test_the_suffix_of_the_genant_element_is_not_the_grade() -> None:
    """.1 is grade 0.5, .5 indeterminate and .6 unknown."""
    assert [code(f"genant-{grade}").value for grade in range(4)] == [f"RDE1003.{n}" for n in (0, 2, 3, 4)]


def test_fractures_of_the_thoracic_and_lumbar_vertebra_and_obstetrics_are_not_used() -> None:
    assert {"207938004", "207957008", "33118-1"}.isdisjoint({row.value for row in TABLE.values()})
    assert code("compression-fracture").value == "42942008"


def test_the_degree_of_compression_of_radelement_is_not_our_loss() -> None:
    """RDES230 compares with the nearest normal vertebra or the posterior height, and knows nothing below 0."""
    assert {"RDE1471", "RDE1472", "RDE2004"}.isdisjoint({row.value for row in TABLE.values()})
    for name in ("largest-loss", "height-loss"):
        assert code(name).scheme == PRIVATE
    assert "RDE2004" in code("largest-loss").source


def test_every_code_is_one_that_dicom_and_fhir_can_write() -> None:
    for name, row in TABLE.items():
        assert 0 < len(row.value) <= 16, name
        assert 0 < len(row.meaning) <= 64, name
        assert row.source, name
        assert row.scheme in SYSTEMS, name
    assert len({(row.scheme, row.value) for row in TABLE.values()}) == len(TABLE)


def test_only_the_private_scheme_has_no_source() -> None:
    assert {row.scheme for row in TABLE.values() if row.source.startswith("none")} == {PRIVATE}


def test_severity_follows_the_grade() -> None:
    assert [row and row.meaning for row in map(severity_code, range(4))] == [None, "Mild", "Moderate", "Severe"]


def test_a_flag_has_a_private_code() -> None:
    assert (note_code("unlike_training").scheme, note_code("unlike_training").value) == (PRIVATE, "unlike-training")
