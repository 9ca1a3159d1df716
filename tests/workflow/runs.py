"""Running Snakemake as a person does, in a folder of its own."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
TINY = Path(__file__).with_name("tiny.yaml")


def snakemake(
    folder: Path,
    *arguments: str,
    config: dict[str, dict[str, object]] | None = None,
    timeout: int = 900,
    root: Path = ROOT,
) -> subprocess.CompletedProcess[str]:
    """Run `snakemake` with the Snakefile and profiles in `root`, results in `folder`, `config` over the tiny one."""
    mine = folder / f"mine-{os.getpid()}.yaml"  # test processes share the finished tiny run
    mine.write_text(yaml.safe_dump(config or {"run": {}}), encoding="utf-8")
    command = [sys.executable, "-m", "snakemake", "--directory", str(folder), "--snakefile", str(root / "Snakefile")]
    command += ["--configfile", str(root / "config.yaml"), str(TINY), str(mine), *arguments]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SNAKEMAKE")}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=timeout)


def finished_tiny_run(factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished tiny run with its pictures, one for all tests of a session; tests only read it."""
    base = factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = shared / "finished-tiny-run"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            run = snakemake(folder, "--cores", "2", "all", "localization_pictures", timeout=3600)
            assert run.returncode == 0, (run.stdout + run.stderr)[-8000:]
            (folder / "done").touch()
    return folder
