"""Running Snakemake as a person does, in a folder of its own."""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from helpers import forked

ROOT = Path(__file__).resolve().parents[2]
TINY = Path(__file__).with_name("tiny.yaml")
Config = dict[str, dict[str, object]]


def typed(folder: Path, *arguments: str, config: Config | None = None, root: Path = ROOT) -> list[str]:
    """What follows `snakemake`: Snakefile and profiles in `root`, results in `folder`, `config` over the tiny one."""
    mine = folder / f"mine-{os.getpid()}.yaml"  # test processes share the finished tiny run
    mine.write_text(yaml.safe_dump(config or {"run": {}}), encoding="utf-8")
    places = ["--directory", str(folder), "--snakefile", str(root / "Snakefile")]
    return [*places, "--configfile", str(TINY), str(mine), *arguments]


def plain_environment(**variables: str) -> dict[str, str]:
    """This process's environment without Snakemake's own variables, and with the given ones."""
    return {key: value for key, value in os.environ.items() if not key.startswith("SNAKEMAKE")} | variables


def snakemake(
    folder: Path,
    *arguments: str,
    config: Config | None = None,
    timeout: int = 1800,
    root: Path = ROOT,
    **variables: str,
) -> subprocess.CompletedProcess[str]:
    """Run `snakemake` with what is `typed` and with `variables` in its environment."""
    return forked.run(
        typed(folder, *arguments, config=config, root=root), root, plain_environment(**variables), timeout
    )


def started(folder: Path, *arguments: str, config: Config | None = None, **variables: str) -> subprocess.Popen[bytes]:
    """Start `snakemake` with what is `typed`, its output in `snakemake.out` of the folder."""
    with (folder / "snakemake.out").open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "snakemake", *typed(folder, *arguments, config=config)],
            cwd=ROOT,
            env=plain_environment(**variables),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def clone(folder: Path) -> Path:
    """Another clone of the workflow in `folder`, its files as new as a checkout's."""
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("rules", "workflow_scripts", "report", "envs", "profiles", "models"):
        shutil.copytree(ROOT / name, folder / name, copy_function=shutil.copyfile, ignore=ignore)
    for name in ("Snakefile", "config.yaml"):
        shutil.copyfile(ROOT / name, folder / name)
    return folder


def finished_tiny(factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished tiny run that all tests of a session share, also those of other workers: only read it."""
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder = base / "finished-tiny"
    with (base / "finished-tiny.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            being_made = base / "finished-tiny-being-made"
            being_made.mkdir(exist_ok=True)
            run = snakemake(being_made, "--cores", "2")
            assert run.returncode == 0, (run.stdout + run.stderr)[-8000:]
            being_made.rename(folder)
    return folder
