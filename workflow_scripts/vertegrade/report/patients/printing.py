"""Pages of patients as PDF, A4, printed by the Chromium or Chrome that is installed, without a network."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SECONDS = 120.0  # for one page; a second is usual
# No service of the browser's own asks for anything, and whatever asks meets a proxy that is not there.
QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run")
OFFLINE = "--proxy-server=http://127.0.0.1:9"
# When a file was printed is of no interest, and would make each run's bytes differ.
DATES = re.compile(rb"/(CreationDate|ModDate) \(D:\d{14}")
# Elements are named by numbers of the browser, which depend on what else it did: they are numbered in turn instead.
ELEMENT = re.compile(rb"\(node(\d{8})\)")


def browser() -> str:
    """Path of the browser, "" where none is installed."""
    return next((path for program in PROGRAMS if (path := shutil.which(program))), "")


def print_pages(pages: Iterable[Path], folder: Path) -> int:
    """Print each page into the folder, under its name; how many. RuntimeError: no browser, or it failed."""
    program = browser()
    if not program:
        raise RuntimeError(no_browser())
    count = 0
    with tempfile.TemporaryDirectory(prefix="vertegrade-print-") as profile:
        for page in pages:
            _print(program, page, folder / f"{page.stem}.pdf", profile)
            count += 1
    return count


def no_browser() -> str:
    """What to do where none is installed."""
    return (
        f"report.pdf: none of {', '.join(PROGRAMS)} is on the PATH; install one, or set report.pdf to false and print "
        "the pages in a browser of your own"
    )


def _print(program: str, page: Path, pdf: Path, profile: str) -> None:
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []  # the sandbox cannot start for root
    options = ["--headless", "--disable-gpu", *QUIET, OFFLINE, *sandbox, f"--user-data-dir={profile}"]
    output = ["--no-pdf-header-footer", f"--print-to-pdf={pdf}"]
    try:
        done = subprocess.run(
            [program, *options, *output, page.resolve().as_uri()], capture_output=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{page.name}: {program} did not print it within {SECONDS:.0f} s; try again") from None
    if done.returncode or not pdf.is_file():
        said = done.stderr.decode("utf-8", "replace").strip()[-400:]
        raise RuntimeError(f"{page.name}: {program} did not print it (status {done.returncode}): {said}")
    pdf.write_bytes(plain(pdf.read_bytes()))


def plain(pdf: bytes) -> bytes:
    """A printed page without what differs from one print to the next."""
    numbers: dict[bytes, int] = {}
    numbered = ELEMENT.sub(lambda found: b"(node%08d)" % numbers.setdefault(found[1], len(numbers)), pdf)
    return DATES.sub(rb"/\1 (D:20000101000000", numbered)
