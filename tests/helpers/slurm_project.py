"""A clone of the project as a person has it, and the literal `snakemake --profile slurm` in it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import yaml

from helpers.cluster import Cluster, wait_for
from helpers.runs import ROOT, TINY, Config

# The tests' cluster keeps no accounts, its nodes share a disk, and two real cores play all of its nodes. Else the
# profile is used as it is.
HERE = ["--slurm-init-seconds-before-status-checks", "3", "--latency-wait", "30", "--max-threads", "2"]


class Project:
    """A folder with the project's files, in which Snakemake submits to a cluster."""

    def __init__(self, folder: Path, cluster: Cluster, status: str = "squeue", config: Config | None = None) -> None:
        self.folder, self.cluster = folder, cluster
        self.options = [*HERE, "--slurm-status-command", status, "--configfile", str(TINY), "mine.yaml"]
        (folder / "mine.yaml").write_text(yaml.safe_dump(config or {"run": {}}))
        run = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
        for name in filter(None, run.stdout.split("\0")):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        (folder / ".venv").symlink_to(sys.prefix)

    @property
    def output(self) -> str:
        """What the last Snakemake said."""
        return (self.folder / "snakemake.out").read_text(errors="replace")

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start `snakemake --profile slurm`; its output goes to `snakemake.out` in the folder."""
        with (self.folder / "snakemake.out").open("w") as output:
            return subprocess.Popen(
                ["snakemake", "--profile", "slurm", *arguments, *self.options],
                cwd=self.folder,
                env={**self.variables(), **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
            )

    def submit(self, script: str, *arguments: str, **environment: str) -> str:
        """Submit a script of the project with Snakemake's arguments; the job's id."""
        run = subprocess.run(
            ["sbatch", "--parsable", script, *arguments, *self.options],
            cwd=self.folder,
            env={**self.variables(), **environment},
            check=True,
            capture_output=True,
            text=True,
        )
        return run.stdout.strip()

    def check_cohort(self, *configfiles: str) -> list[str]:
        """What `make check-cohort PROFILE=slurm` says, line by line."""
        run = subprocess.run(
            [sys.executable, "-m", "vertegrade.commands", "check", *configfiles, "--profile", "slurm"],
            cwd=self.folder,
            env=self.variables(),
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert run.returncode in (0, 1), run.stderr
        return run.stdout.splitlines()

    def variables(self) -> dict[str, str]:
        """Environment in which a person of this cluster works."""
        variables = {key: value for key, value in self.cluster.environment.items() if not key.startswith("SNAKEMAKE")}
        return {**variables, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{variables['PATH']}"}

    def wait_for(self, process: subprocess.Popen[str], condition: Callable[[], object], what: str) -> None:
        """Wait until a condition is true while a Snakemake runs; its output where it ends before that."""

        def seen() -> object:
            found = condition()
            assert found or process.poll() is None, f"Snakemake ended before {what}:\n{self.output[-8000:]}"
            return found

        wait_for(seen, what, 900)

    def finish(self, process: subprocess.Popen[str]) -> str:
        """Wait for the good end of a Snakemake; what it said."""
        try:
            status = process.wait(1500)
        except subprocess.TimeoutExpired:
            process.kill()
            status = process.wait(60)
        assert status == 0, f"{self.output[-12000:]}\n{self.cluster.jobs()}\n{self.cluster.logs()}"
        return self.output
