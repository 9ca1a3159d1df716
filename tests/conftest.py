"""What tests of several rooms share."""

import gc
from itertools import zip_longest
from pathlib import Path

import pytest

from helpers.runs import finished_tiny

# Imports and collected tests stay to the end: looking for garbage among them took a fifth of the collection's CPU time.
gc.disable()


def pytest_collection_finish() -> None:
    """From here on there is garbage."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished tiny run; only read it, or work on a copy."""
    return finished_tiny(tmp_path_factory)


# Their files take minutes each. Begun last, they would keep one of two workers idle at the end.
SLOW_FIRST = ("tests/faults", "tests/runs", "tests/grading", "tests/training")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow folders first, between them the files of tests/slurm: two clusters at once would share two cores."""
    root = Path(__file__).resolve().parents[1]
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)

    def place(file: Path) -> int:
        folder = file.parent.relative_to(root).as_posix()
        return SLOW_FIRST.index(folder) if folder in SLOW_FIRST else len(SLOW_FIRST)

    clusters = [file for file in files if file.parent.name == "slurm"]
    others = sorted((file for file in files if file not in clusters), key=place)
    order = [file for pair in zip_longest(clusters, others) for file in pair if file]
    items[:] = [item for file in order for item in files[file]]


def pytest_make_parametrize_id(val: object) -> str | None:
    """Bytes are named by their length: packed ones hold the time, and two workers would collect different tests."""
    return f"{len(val)}-bytes" if isinstance(val, bytes) else None
