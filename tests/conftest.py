"""What tests of several rooms share."""

from pathlib import Path

import pytest

from workflow.runs import finished_tiny


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished tiny run; only read it, or work on a copy."""
    return finished_tiny(tmp_path_factory)
