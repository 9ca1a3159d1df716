"""Running Snakemake as a person does, in a folder of its own."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TINY = Path(__file__).with_name("tiny.yaml")


def snakemake(
    folder: Path, *arguments: str, config: tuple[str, ...] = (), timeout: int = 900
) -> subprocess.CompletedProcess[str]:
    """Run `snakemake` with the project's Snakefile and profiles, its results below `folder`; config: `key=yaml`."""
    command = [sys.executable, "-m", "snakemake", "--directory", str(folder), "--snakefile", str(ROOT / "Snakefile")]
    configfiles = [str(ROOT / "config.yaml"), str(TINY)]
    command += ["--configfile", *configfiles, *arguments]
    command += ["--config", *config] if config else []
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SNAKEMAKE")}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=timeout)
