"""One export for all tests of this folder."""

import pytest

from helpers.exported import Exported, export_into


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return export_into(tmp_path_factory.mktemp("export"))
