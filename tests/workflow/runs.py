"""Running Snakemake as a person does, in a folder of its own."""

import os
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
TINY = Path(__file__).with_name("tiny.yaml")


def snakemake(
    folder: Path, *arguments: str, config: dict[str, dict[str, object]] | None = None, timeout: int = 900
) -> subprocess.CompletedProcess[str]:
    """Run `snakemake` with the project's Snakefile and profiles, results in `folder`, `config` over the tiny one."""
    mine = folder / "mine.yaml"
    mine.write_text(yaml.safe_dump(config or {"run": {}}), encoding="utf-8")
    command = [sys.executable, "-m", "snakemake", "--directory", str(folder), "--snakefile", str(ROOT / "Snakefile")]
    command += ["--configfile", str(ROOT / "config.yaml"), str(TINY), str(mine), *arguments]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SNAKEMAKE")}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=timeout)
