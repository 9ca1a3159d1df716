"""docs/reference/tables.md documents each table that crosses a stage: every column, with its type, and no other."""

import json
import re
from pathlib import Path

import pandera.pandas as pa
import pytest

from vertegrade import drawn_tables, tables
from vertegrade.evaluation.comparison import tables as comparison_tables
from vertegrade.follow_up import tables as follow_up_tables
from vertegrade.metastasis import tables as bone_tables

REFERENCE = Path(__file__).resolve().parents[2] / "docs/reference"
PAGE = (REFERENCE / "tables.md").read_text(encoding="utf-8")
COLUMNS = REFERENCE / "columns.json"
ROOMS = (tables, drawn_tables, comparison_tables, follow_up_tables, bone_tables)
ALL = {name: value for room in ROOMS for name, value in vars(room).items()}
SCHEMAS = {name: value for name, value in ALL.items() if isinstance(value, pa.DataFrameSchema)}
TYPES = {"float64": "number", "int64": "integer", "Int64": "integer", "bool": "boolean", "object": "list"}


def documented(page: str) -> dict[str, dict[str, str]]:
    """Type of each column by table: a section `## NAME` with rows `| columns | type | unit | meaning |`."""
    found: dict[str, dict[str, str]] = {}
    for section in page.split("\n## ")[1:]:
        name, _, text = section.partition("\n")
        rows = re.findall(r"^\| (`.+?) \| ([\w, ]+) \| ([^|]*)\| ([^|]+\.) \|$", text, re.MULTILINE)
        found[name] = {column: kind for columns, kind, *_ in rows for column in re.findall(r"`(\w+)`", columns)}
    return found


def types(schema: pa.DataFrameSchema) -> dict[str, str]:
    """Type of each column in the page's words."""
    found = {}
    for name, column in schema.columns.items():
        kind = "text" if tables.is_text(column) else TYPES[str(column.dtype)]
        found[name] = kind if column.required else f"{kind}, optional"
    return found


def test_every_table_has_its_section() -> None:
    assert set(documented(PAGE)) == set(SCHEMAS)


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_column_is_documented_and_no_other(name: str) -> None:
    assert list(documented(PAGE)[name].items()) == list(types(SCHEMAS[name]).items())


def test_programs_find_the_same_columns_in_columns_json() -> None:
    for name, table in json.loads(COLUMNS.read_text(encoding="utf-8")).items():
        kinds = {
            column: f"{about['type']}, optional" if about["optional"] else about["type"]
            for column, about in table["columns"].items()
        }
        assert kinds == types(SCHEMAS[name]), name
        assert table["files"], name


def test_lengths_have_their_unit_in_columns_json() -> None:
    tables_ = json.loads(COLUMNS.read_text(encoding="utf-8"))
    named = [(name, about["unit"]) for table in tables_.values() for name, about in table["columns"].items()]
    assert all("mm" in unit for name, unit in named if name.endswith("_mm"))


def test_a_missing_column_is_noticed() -> None:
    page = PAGE.replace("| `crop` | integer |", "| `crops` | integer |")
    assert documented(page)["CROPS"].keys() != types(SCHEMAS["CROPS"]).keys()
