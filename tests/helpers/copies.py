"""Copies of a finished run to break, and what must hold when they are whole again."""

import os
import shutil
from pathlib import Path

from vertegrade.files import sha256_of
from vertegrade.workflow.manifest import HASHED

# Times, process ids and counts of a run differ from one run to the next; state goes with the weights that it led to.
NOT_COMPARED = (
    *("manifest/", "dae/state/", "dae/training.json", "summary.json", "report/cohort.html"),
    *("report/methods.md", "report/claim.md", "report/tripod_ai.md"),  # they name the commit, where there is one
)


def copy_of(finished: Path, folder: Path, *removed: str, linked: bool = True) -> Path:
    """A copy of a finished run without the named results: hard links, as our files are replaced and never changed."""
    copy = folder / "run"
    shutil.copytree(finished / "results", copy / "results", copy_function=os.link if linked else shutil.copy2)
    shutil.copytree(finished / ".snakemake/metadata", copy / ".snakemake/metadata")
    for name in removed:
        path = copy / "results" / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    return copy


def results_of(folder: Path) -> set[str]:
    """Names of all files below `results`, temporary ones too, but for what a run remembers of files hashed again."""
    results = folder / "results"
    names = {path.relative_to(results).as_posix() for path in results.rglob("*") if path.is_file()}
    return names - {f"manifest/{HASHED}"}


def assert_whole(folder: Path, finished: Path) -> None:
    """Every result is there with the bytes of the undisturbed run, and nothing else is."""
    found, wanted = results_of(folder), results_of(finished)
    assert {name for name in found if "/state/" not in name} == {name for name in wanted if "/state/" not in name}
    for name in wanted:
        if not name.startswith(NOT_COMPARED) and not Path(name).name.startswith("."):
            mine, other = folder / "results" / name, finished / "results" / name
            assert mine.samefile(other) or sha256_of(mine) == sha256_of(other), name
