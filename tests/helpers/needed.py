"""Programs that some tests need: where a person's machine lacks one they are skipped, but not in CI."""

import os
from typing import NoReturn

import pytest

IN_CI = "VERTEGRADE_CI"  # set by .ci/run, which installs all of them
NO_CHROMIUM = "no Chromium or Chrome is here: apt-get install chromium"


def lacking(reason: str) -> NoReturn:
    """End the test. reason: what is not here, and how to install it."""
    if os.environ.get(IN_CI):
        pytest.fail(reason)
    pytest.skip(reason)
