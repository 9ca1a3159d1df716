"""What tests of several rooms share."""

from pathlib import Path

import pytest

from workflow.runs import finished_tiny


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished tiny run; only read it, or work on a copy."""
    return finished_tiny(tmp_path_factory)


def pytest_make_parametrize_id(val: object) -> str | None:
    """Bytes are named by their length: packed ones hold the time, and two workers would collect different tests."""
    return f"{len(val)}-bytes" if isinstance(val, bytes) else None
