"""Jobs that the tests fork are what new processes are: the same words, folder, variables, outputs and ends."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import forked
from helpers.runs import plain_environment

SNAKEFILE = """
rule all:
    input: "out.txt"
rule job:
    output: "out.txt"
    script: "job.py"
"""
LOOK = """
import json, os, sys, threading
from pathlib import Path
import local_module
print("to stdout")
print("to stderr", file=sys.stderr)
found = {"folder": os.getcwd(), "word": os.environ["WORD"], "threads": threading.active_count(), "main": __name__}
places = [path for path in sys.path[1:] if "snakemake/" not in path]  # Snakemake's caches
found |= {"local": local_module.__name__, "path": places, "wildcards": dict(snakemake.wildcards)}
Path(snakemake.output[0]).write_text(json.dumps(found, sort_keys=True))
"""


def both(folder: Path, job: str) -> list[tuple[int, str, str]]:
    """Status, what was said of the job, and what it wrote, of a new Snakemake and of a forked one."""
    found = []
    for way in ("new", "forked"):
        work = folder / way
        work.mkdir()
        (work / "Snakefile").write_text(SNAKEFILE)
        (work / "job.py").write_text(job)
        (work / "local_module.py").touch()
        arguments, environment = ["--cores", "1"], plain_environment(WORD="a = b\nc")
        if way == "new":
            command = [sys.executable, "-m", "snakemake", *arguments]
            run = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True)
        else:
            run = forked.run(arguments, work, environment, 60)
        lines = [line for line in (run.stdout + run.stderr).splitlines() if line.startswith(("to std", "Value", "bye"))]
        written = (work / "out.txt").read_text().replace(str(work), "WORK") if (work / "out.txt").exists() else ""
        found.append((run.returncode, "\n".join(sorted(lines)), written))
    return found


def test_a_job_finds_what_a_new_process_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))  # what another test has left on this process's path
    new, fork = both(tmp_path, LOOK)
    assert new == fork
    assert new[:2] == (0, "to stderr\nto stdout")
    assert '"word": "a = b\\nc"' in new[2]


@pytest.mark.parametrize(
    ("end", "says"),
    [("raise ValueError('no')", "ValueError: no"), ("import sys; sys.exit('bye')", "bye"), ("exit(3)", "")],
)
def test_a_job_that_fails_fails(tmp_path: Path, end: str, says: str) -> None:
    new, fork = both(tmp_path, end)
    assert new == fork == (1, says, "")


def test_a_job_that_is_killed_fails(tmp_path: Path) -> None:
    new, fork = both(tmp_path, "import os; os.kill(os.getpid(), 9)")
    assert new[0] == fork[0] == 1


def test_what_stands_on_pythonpath_is_read_as_a_new_process_reads_it(tmp_path: Path) -> None:
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    (tmp_path / "job.py").write_text("import builtins; open(snakemake.output[0], 'w').write(builtins.planted)")
    (tmp_path / "planted").mkdir()
    (tmp_path / "planted/sitecustomize.py").write_text("import builtins; builtins.planted = 'planted'")
    environment = plain_environment(PYTHONPATH=str(tmp_path / "planted"), PATH=os.environ["PATH"])
    run = forked.run(["--cores", "1"], tmp_path, environment, 60)
    assert run.returncode == 0, run.stdout + run.stderr
    assert (tmp_path / "out.txt").read_text() == "planted"
