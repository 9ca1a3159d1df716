"""One browser for all tests of a process."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from helpers.browser import CHROMIUM, chromium
from helpers.needed import NO_CHROMIUM, lacking


@pytest.fixture(scope="session")
def program() -> Iterator[Browser]:
    if not CHROMIUM:
        lacking(NO_CHROMIUM)
    with chromium() as started:
        yield started
