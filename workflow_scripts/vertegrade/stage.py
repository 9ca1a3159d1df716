"""What all scripts share: the rule's log, typed settings, seed, threads, device, and a manifest of what was made."""

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

import pandas as pd
import pandera.pandas as pa
from threadpoolctl import threadpool_limits

from vertegrade.code_hash import LoadedCode
from vertegrade.files import new_file
from vertegrade.manifest import write_manifest
from vertegrade.settings.base import Section, narrowed, nested, section_paths
from vertegrade.tables import check_table

T = TypeVar("T", bound=Section)


class Stage:
    """One running job, as its script sees it."""

    def __init__(self, job: Any) -> None:
        self.rule: str = job.rule
        self.input, self.output, self.params, self.wildcards = job.input, job.output, job.params, job.wildcards
        self.threads: int = job.threads
        self.resources = job.resources
        self.log_file = Path(job.log[0])
        self.log = logging.getLogger(f"vertegrade.{self.rule}")
        self.config: dict[str, Any] = job.config

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
        """`cuda` or `cpu`: `run.device`, where `auto` takes a GPU if torch sees one."""
        import torch

        wanted: str = self.config["run"]["device"]
        if wanted == "cuda" and not torch.cuda.is_available():
            raise RuntimeError("run.device is `cuda`, but torch sees no GPU here; use `auto` or `cpu`, or ask for one")
        return "cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu"

    def settings(self, kind: type[T]) -> T:
        """The settings of one section, with the keys that the rule's params carry and no others."""
        path = section_paths()[kind].split(".")
        given = nested(self.params.settings)
        return narrowed(kind, reduce(getitem, path, given), reduce(getitem, path, self.config))

    def write_table(self, path: str, table: pd.DataFrame, schema: pa.DataFrameSchema) -> None:
        """Check a table against its contract and write it as Parquet, or as TSV by its suffix."""
        checked = check_table(table, schema, path)
        write_frame(path, checked)


def write_frame(path: str, table: pd.DataFrame) -> None:
    """Write a table without a cross-stage contract: Parquet, or TSV by its suffix."""
    with new_file(path) as temporary:
        if path.endswith(".tsv"):
            table.to_csv(temporary, sep="\t", index=False, lineterminator="\n")
        else:
            table.to_parquet(temporary, index=False)


@contextmanager
def run_stage(job: Any) -> Iterator[Stage]:
    """Set up log, threads and manifest around a script's work; `job` is the object that Snakemake gives a script."""
    stage = Stage(job)
    new_log(stage.log_file)
    started = datetime.now(UTC)
    stage.log.info("%s %s on %s thread(s)%s", stage.rule, dict(stage.wildcards.items()), stage.threads, slurm_job())
    try:
        code = LoadedCode(stage.rule, dict(stage.params.items()).get("code", ""), job.scriptdir)
        with threadpool_limits(stage.threads):
            yield stage
        code.require_unchanged()
    except Exception:
        stage.log.exception("%s failed", stage.rule)
        raise
    if stage.output:
        device = stage.device if "torch" in sys.modules else "cpu"
        write_manifest(job, stage.results, started, device, code.digests)
    stage.log.info("%s done in %.1f s", stage.rule, (datetime.now(UTC) - started).total_seconds())


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
