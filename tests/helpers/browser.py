"""The Chromium of this machine with a page open in it: without a network, and all that the page says written down."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from vertegrade.report.patients.printing import OFFLINE, QUIET, browser

CHROMIUM = browser()
AXE = files("axe_playwright_python").joinpath("axe.min.js")
# Levels A and AA of WCAG 2.0 to 2.2; what axe calls best practice is looked at as well, but fails nothing.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
SERIOUS = ("serious", "critical")
PATIENCE_MS = 120_000  # on a machine that does much else


@dataclass
class Opened:
    """A page in the browser. said: errors and warnings. asked: addresses of other things than itself and its data."""

    page: Page
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def unfold(self) -> None:
        """Opens what a page keeps folded, and goes to each chart, as it is drawn when a reader comes near."""
        self.page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        for chart in self.page.locator(".chart:has(figure)").all():
            chart.scroll_into_view_if_needed()
            chart.locator(".live svg").first.wait_for()

    def violations(self) -> list[dict[str, Any]]:
        """What axe-core finds on the page as it is now."""
        self.page.evaluate(AXE.read_text(encoding="utf-8"))
        options = {"runOnly": RULES, "resultTypes": ["violations"]}
        found: list[dict[str, Any]] = self.page.evaluate("options => axe.run(document, options)", options)["violations"]
        return found


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser, as long as the block lasts."""
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []  # the sandbox cannot start for root
    with sync_playwright() as playwright:
        # containers may have little shared memory
        arguments = ["--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", *QUIET, OFFLINE, *sandbox]
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments, timeout=PATIENCE_MS)
        yield started
        started.close()


@contextmanager
def opened(program: Browser, path: Path, width: int = 1440) -> Iterator[Opened]:
    """The page of a file in a window of this width, with storage of its own."""
    address = path.resolve().as_uri()
    context = program.new_context(viewport={"width": width, "height": 900}, accept_downloads=True)
    context.set_default_timeout(PATIENCE_MS)
    shown = Opened(context.new_page())
    shown.page.on("console", lambda line: shown.said.append(line.text) if line.type in ("error", "warning") else None)
    shown.page.on("pageerror", lambda error: shown.said.append(str(error)))
    shown.page.on("requestfailed", lambda request: shown.said.append(f"{request.url[:200]}: {request.failure}"))
    shown.page.on("request", lambda request: _note(shown, request.url, address))
    shown.page.goto(address)
    yield shown
    context.close()


def _note(shown: Opened, url: str, address: str) -> None:
    if url.split("#")[0] != address and not url.startswith("data:"):
        shown.asked.append(url)
