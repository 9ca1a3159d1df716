"""What all scripts share: the rule's log, typed settings, seed, threads, device, and a manifest of what was made."""

import importlib.metadata
import json
import logging
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import pandera.pandas as pa
from threadpoolctl import threadpool_limits

from vertegrade.files import new_file, sha256_of, write_json
from vertegrade.settings.base import Section, section_paths
from vertegrade.tables import check_table

T = TypeVar("T", bound=Section)
PACKAGES = ["numpy", "scipy", "pandas", "pyarrow", "scikit-learn", "nibabel", "pydicom", "highdicom", "torch", "monai"]
PACKAGES += ["diffusers", "statsmodels", "matplotlib", "snakemake"]


class Stage:
    """One running job, as its script sees it."""

    def __init__(self, job: Any) -> None:
        self.rule: str = job.rule
        self.input, self.output, self.params, self.wildcards = job.input, job.output, job.params, job.wildcards
        self.threads: int = job.threads
        self.log = logging.getLogger(f"vertegrade.{self.rule}")
        self._config: dict[str, Any] = job.config

    @property
    def seed(self) -> int:
        """The run's seed, if the rule declares that it uses one."""
        return int(self.params.seed)

    @property
    def device(self) -> str:
        """`cuda` or `cpu`: `run.device`, where `auto` takes a GPU if torch sees one."""
        import torch

        wanted: str = self._config["run"]["device"]
        if wanted == "cuda" and not torch.cuda.is_available():
            raise RuntimeError("run.device is `cuda`, but torch sees no GPU here; use `auto` or `cpu`, or ask for one")
        return "cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu"

    def settings(self, kind: type[T]) -> T:
        """The settings of one section, as the rule's params carry them."""
        return kind.model_validate(self.params.settings[section_paths()[kind]])

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
    _start_log(job.log[0])
    started = datetime.now(UTC)
    stage.log.info("%s %s on %s thread(s)", stage.rule, dict(stage.wildcards.items()), stage.threads)
    try:
        with threadpool_limits(stage.threads):
            yield stage
    except Exception:
        stage.log.exception("%s failed", stage.rule)
        raise
    _write_manifest(stage, started)
    stage.log.info("%s done in %.1f s", stage.rule, (datetime.now(UTC) - started).total_seconds())


def _start_log(path: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        handlers=[logging.FileHandler(path, mode="w", encoding="utf-8"), logging.StreamHandler(sys.stderr)],
        force=True,
    )
    logging.captureWarnings(True)


def _write_manifest(stage: Stage, started: datetime) -> None:
    """One JSON a job: what went in, what came out, by which code and settings, where and when."""
    torch = sys.modules.get("torch")
    manifest = {
        "rule": stage.rule,
        "wildcards": dict(stage.wildcards.items()),
        "inputs": {str(path): sha256_of(path) for path in sorted(set(stage.input)) if os.path.exists(path)},
        "outputs": {str(path): sha256_of(path) for path in stage.output},
        "params": json.loads(json.dumps(dict(stage.params.items()), default=str)),
        "threads": stage.threads,
        "device": stage.device if torch else "cpu",
        "versions": _versions(),
        "host": platform.node(),
        "started": started.isoformat(timespec="milliseconds"),
        "finished": datetime.now(UTC).isoformat(timespec="milliseconds"),
    }
    name = "-".join(str(value) for value in stage.wildcards) or "all"
    write_json(Path(stage._config["run"]["results"]) / "manifest" / stage.rule / f"{name}.json", manifest)


def _versions() -> dict[str, str]:
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"python": platform.python_version(), **versions}
