"""Each floor of the library imports only the floors that docs/design/architecture.md lists before it."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "workflow_scripts/vertegrade"
LISTED = re.search(r"^A floor imports.*?```\n(.*?)```", (ROOT / "docs/design/architecture.md").read_text(), re.M | re.S)
FLOOR = {room: floor for floor, line in enumerate(LISTED[1].splitlines() if LISTED else []) for room in line.split()}


def room_of(file: Path) -> str:
    return file.relative_to(LIBRARY).with_suffix("").parts[0]


def imported_rooms(file: Path) -> set[str]:
    nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    modules = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    return {module.split(".")[1] for module in modules if module.startswith("vertegrade.")}


def test_every_room_has_a_floor() -> None:
    assert set(FLOOR) == {room_of(file) for file in LIBRARY.rglob("*.py")} - {"__init__"}


@pytest.mark.parametrize("room", FLOOR)
def test_a_floor_imports_only_lower_floors(room: str) -> None:
    for file in (file for file in LIBRARY.rglob("*.py") if room_of(file) == room):
        others = imported_rooms(file) - {room}
        assert not [other for other in others if FLOOR[other] >= FLOOR[room]], file
