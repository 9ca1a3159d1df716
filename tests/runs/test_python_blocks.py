"""Every Python block of README and docs, run as it stands there in the folder of a finished run."""

import contextlib
import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.runs import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCKS = [
    pytest.param(block, id=f"{page.relative_to(ROOT)}-{number}")
    for page in PAGES
    for number, block in enumerate(re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.M))
]


def latents() -> dict[str, object]:
    """The arrays that the page of latents leaves to the reader: two of 4 numbers rise with the grade."""
    rng = np.random.default_rng(3)
    grade = rng.choice(4, 160, p=[0.6, 0.15, 0.15, 0.1])
    z = rng.normal(size=(160, 4))
    z[:, :2] += 1.5 * grade[:, None]
    return {"z": z, "grade": grade, "patient": np.arange(160) // 2}


def test_blocks_are_found() -> None:
    assert len(BLOCKS) >= 6


@pytest.mark.slow
@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_runs_and_finds_vertebrae(block: str, finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = min(path for path in (finished / "results/phantom").glob("*/dicom/*") if path.is_dir())
    monkeypatch.chdir(finished)
    names = latents()
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(block.replace("/data/ct/scan1", str(scan)), "block", "exec"), names)
    tables = [value for value in names.values() if isinstance(value, pd.DataFrame)]
    tables += [found.table for found in [names.get("found")] if hasattr(found, "table")]
    assert tables
    assert all(len(table) > 0 for table in tables)
    assert "print(" not in block or printed.getvalue().split()[:3] == ["level", "grade", "severity"]
