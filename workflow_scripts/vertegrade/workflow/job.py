"""What all scripts share: the rule's log, typed settings, seed, threads, device, and a manifest of what was made."""

import atexit
import gc
import logging
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits

from vertegrade.settings.base import Section, narrowed, nested, section_paths
from vertegrade.workflow.code_hash import LoadedCode, script_of
from vertegrade.workflow.manifest import write_manifest

T = TypeVar("T", bound=Section)

# At its end Python would look for garbage among all objects of all libraries: 0.2-0.3 s for each job.
atexit.register(gc.freeze)


class Job:
    """One running job, as its script sees it."""

    def __init__(self, snakemake: Any) -> None:
        self.rule: str = snakemake.rule
        self.input, self.output = snakemake.input, snakemake.output
        self.params, self.wildcards = snakemake.params, snakemake.wildcards
        self.threads: int = snakemake.threads
        self.resources = snakemake.resources
        self.log_file = Path(snakemake.log[0])
        self.log = logging.getLogger(f"vertegrade.{self.rule}")
        self.config: dict[str, Any] = snakemake.config

    @property
    def results(self) -> str:
        """Folder of the run's results."""
        return str(self.config["run"]["results"])

    @property
    def seed(self) -> int:
        """The run's seed, if the rule declares that it uses one."""
        return int(self.params.seed)

    @property
    def device(self) -> str:
        """`cuda` or `cpu`, by `run.device`."""
        return device_of(self.config["run"]["device"])

    def settings(self, kind: type[T]) -> T:
        """The settings of one section, with the keys in the rule's params and no others."""
        path = section_paths()[kind].split(".")
        given = nested(self.params.settings)
        return narrowed(kind, reduce(getitem, path, given), reduce(getitem, path, self.config))


def device_of(wanted: str) -> str:
    """`cuda` or `cpu` for `auto`, `cuda` or `cpu`: `auto` takes a GPU if torch sees one."""
    import torch

    if wanted == "cuda" and not torch.cuda.is_available():
        raise RuntimeError("run.device is `cuda`, but torch sees no GPU here; use `auto` or `cpu`, or ask for one")
    return "cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu"


@contextmanager
def run_job(snakemake: Any) -> Iterator[Job]:
    """Set up log, threads and manifest around a script's work; `snakemake` is what Snakemake gives a script."""
    job = Job(snakemake)
    new_log(job.log_file)
    started = datetime.now(UTC)
    job.log.info("%s %s on %s thread(s)%s", job.rule, dict(job.wildcards.items()), job.threads, slurm_job())
    try:
        code = LoadedCode(script_of(job.rule), dict(job.params.items()).get("code", ""), snakemake.scriptdir)
        with threadpool_limits(job.threads):
            yield job
        code.require_unchanged()
    except Exception:
        job.log.exception("%s failed", job.rule)
        raise
    if job.output:
        device = job.device if "torch" in sys.modules else "cpu"
        write_manifest(snakemake, job.results, started, device, code.digests)
    job.log.info("%s done in %.1f s", job.rule, (datetime.now(UTC) - started).total_seconds())


def slurm_job() -> str:
    """Which job of SLURM this process is in, and where, for its log; "" outside SLURM."""
    number = os.environ.get("SLURM_JOB_ID")
    return f", SLURM job {number} on {os.environ.get('SLURMD_NODENAME', platform.node())}" if number else ""


def new_log(path: Path) -> None:
    """Begin a rule's log."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    continue_log(path)


def continue_log(path: Path) -> None:
    """Let this process's messages go to the end of a rule's log, where others may write too, and to the terminal."""
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        handlers=[logging.FileHandler(path, "a", encoding="utf-8"), logging.StreamHandler(sys.stderr)],
        force=True,
    )
    logging.captureWarnings(True)
