"""What make runs, with programs in its way that only write down how they were called."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CALLED = '#!/bin/sh\necho "$(basename "$0") $*" >> called\n'
# A Python that says it is 3.9, and makes environments of itself.
OLD = f"""#!/bin/sh
if [ "$1" = -m ]; then mkdir -p .venv/bin; cp "$0" .venv/bin/python; exit 0; fi
exec {sys.executable} -c 'import sys; sys.version_info = (3, 9, 0); exec(sys.argv[1])' "$2"
"""

if not shutil.which("make"):
    pytest.skip("make is not installed", allow_module_level=True)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The Makefile in a folder with an environment of such programs that is older than its locks."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copytree(ROOT / "envs", tmp_path / "envs")
    (tmp_path / ".venv/bin").mkdir(parents=True)
    for program in ("pip", "python", "snakemake", "vertegrade"):
        (tmp_path / ".venv/bin" / program).write_text(CALLED)
        (tmp_path / ".venv/bin" / program).chmod(0o755)
    (tmp_path / ".venv/ready").touch()
    os.utime(tmp_path / ".venv/ready", (0, 0))
    return tmp_path


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    variables = {"PYTHON": f"{folder}/.venv/bin/python"}  # nothing is installed, whatever the Makefile says
    environment = {**os.environ, **variables}
    return subprocess.run(["make", *arguments], cwd=folder, env=environment, capture_output=True, text=True)


def called(folder: Path) -> list[str]:
    return (folder / "called").read_text().splitlines() if (folder / "called").exists() else []


@pytest.mark.parametrize(
    ("typed", "runs"),
    [
        (["why"], "snakemake --cores 1 --quiet all -- why"),
        (["why", "CONFIG=mine.yaml"], "snakemake --cores 1 --configfile mine.yaml --quiet all -- why"),
        (["index", "DIR=ct"], "vertegrade index ct --sheet scans.csv"),
        (["check-cohort", "CONFIG=mine.yaml"], "vertegrade check mine.yaml"),
        (["grade", "DIR=ct", "CORES=2"], "vertegrade grade ct --results results/grade --model shipped --cores 2"),
        (
            ["grade", "DIR=ct", "CORES=2", "WRITE=seg sr"],
            "vertegrade grade ct --results results/grade --model shipped --cores 2 --write seg sr",
        ),
        (
            ["challenge", "DIR=ct", "CORES=1"],
            "vertegrade challenge ct --results results/grade --model shipped --cores 1",
        ),
    ],
)
def test_asking_renews_no_environment(project: Path, typed: list[str], runs: str) -> None:  # field test B10
    assert make(project, *typed).returncode == 0
    assert [line.rstrip() for line in called(project)] == [runs]


def test_demo_is_snakemake_without_a_config(project: Path) -> None:
    os.utime(project / ".venv/ready")
    assert make(project, "demo", "CORES=3", f"VERTEGRADE_TEST_DATA={project}").returncode == 0
    assert called(project) == ["snakemake --cores 3"]


def test_all_cores_are_used_where_a_shell_limits_the_threads_of_a_process(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.utime(project / ".venv/ready")
    cores = len(os.sched_getaffinity(0))
    monkeypatch.setenv("OMP_NUM_THREADS", str(cores + 1))
    monkeypatch.setenv("OMP_THREAD_LIMIT", "1")
    assert make(project, "demo", f"VERTEGRADE_TEST_DATA={project}").returncode == 0
    assert called(project) == [f"snakemake --cores {cores}"]


def test_demo_grades_the_public_scan_where_it_is_and_makes_the_page_again(project: Path) -> None:
    os.utime(project / ".venv/ready")
    lidc = project / "lidc-idri-0001/dicom"
    lidc.mkdir(parents=True)
    assert make(project, "demo", "CORES=3", f"VERTEGRADE_TEST_DATA={project}").returncode == 0
    challenge = f"vertegrade challenge {lidc} --results results-applied/lidc --model results --cores 3"
    assert called(project) == ["snakemake --cores 3", challenge, "snakemake --cores 3"]


def test_why_without_an_environment_makes_none(project: Path) -> None:  # field test B10
    shutil.rmtree(project / ".venv")
    run = make(project, "why")
    assert (run.returncode, "there is no environment yet" in run.stdout) == (2, True)
    assert not (project / ".venv").exists()


def test_a_python_that_is_too_old_leaves_no_environment_behind(project: Path) -> None:  # field test B10
    shutil.rmtree(project / ".venv")
    (project / "python3.9").write_text(OLD)
    (project / "python3.9").chmod(0o755)
    run = make(project, "demo", f"PYTHON={project}/python3.9")
    assert run.returncode != 0
    assert "Vertegrade needs Python 3.11 or newer; name one: make PYTHON=" in run.stderr
    assert not (project / ".venv").exists()


def test_clean_removes_caches_and_no_results(project: Path) -> None:  # field test B10
    kept = [
        project / name for name in ("results/report/cohort.html", "logs/a.log", ".snakemake/metadata/x", ".venv/ready")
    ]
    caches = [project / name for name in (".mypy_cache/x", ".ruff_cache/x", "tests/__pycache__/x.pyc")]
    for path in (*kept, *caches):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    run = make(project, "clean")
    assert "results, logs and .snakemake" in run.stdout
    assert [path.exists() for path in kept] == [True] * 4
    assert [path.exists() for path in caches] == [False] * 3
