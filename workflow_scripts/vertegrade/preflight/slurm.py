"""A Snakemake profile for SLURM against the cluster that it is to run on."""

import importlib.util
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

GPU_RULES = ("train_dae", "localize", "encode", "counterfactual")
TIMEOUT_S = 60


def check_profile(profile: str, device: str) -> list[str]:
    """Problems of a profile: unreadable, other executor's plugin missing, partitions that are not there or lack a GPU.

    device: `run.device`; with `cpu` no rule asks for a GPU.
    """
    try:
        path = _file(profile)
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        return [f"profile {profile}: cannot be read ({type(error).__name__}); name a folder with profile.yaml"]
    if not isinstance(content, dict):
        return [f"{path}: holds no keys; compare it with slurm/profile.yaml"]
    if content.get("executor") != "slurm":
        return []
    problems = []
    if importlib.util.find_spec("snakemake_executor_plugin_slurm") is None:
        problems.append("snakemake-executor-plugin-slurm is not installed; make the environment anew")
    missing = [program for program in ("sbatch", "sinfo") if shutil.which(program) is None]
    if missing:
        return [*problems, f"{', '.join(missing)}: not on the PATH; check where you submit jobs, or without a profile"]
    try:
        partitions = _partitions()
    except (OSError, subprocess.SubprocessError) as error:
        return [*problems, f"sinfo fails ({type(error).__name__}); is SLURM's controller up?"]
    return [*problems, *_against_cluster(path, content, partitions, device)]


def _file(profile: str) -> Path:
    """The file of a profile as Snakemake looks for it: a path, or a folder of that name here."""
    folder = Path(profile)
    names = ("profile.yaml", "config.v9+.yaml", "config.v8+.yaml", "config.yaml")
    return next((folder / name for name in names if (folder / name).is_file()), folder)


def _partitions() -> dict[str, str]:
    """Generic resources (gres) of each partition of the cluster, such as `gpu:a100:4`."""
    answer = subprocess.run(
        ["sinfo", "--noheader", "--all", "--format=%R|%G"],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    partitions: dict[str, str] = {}
    for line in answer.stdout.splitlines():
        name, _, resources = line.strip().partition("|")
        partitions[name] = partitions.get(name, "") + resources
    return partitions


def _against_cluster(path: Path, content: dict[str, Any], partitions: dict[str, str], device: str) -> Iterator[str]:
    common = _resources(content.get("default-resources")).get("slurm_partition")
    rules = content.get("set-resources") or {}
    named = {rule: _resources(own).get("slurm_partition", common) for rule, own in rules.items()}
    for name in sorted({str(name) for name in (common, *named.values()) if name} - partitions.keys()):
        yield f"{path}: partition {name!r} is not on this cluster; it has {', '.join(sorted(partitions))}"
    if device == "cpu":
        return
    for rule in GPU_RULES:
        name = str(named.get(rule, common))
        if name in partitions and "gpu" not in partitions[name]:
            yield f"{path}: {rule} asks for a GPU, partition {name!r} has none; name another, or set run.device: cpu"


def _resources(block: Any) -> dict[str, Any]:
    """Resources as a mapping, which a profile may also give as a list of `name=value`."""
    if isinstance(block, list):
        return dict(item.split("=", 1) for item in map(str, block) if "=" in item)
    return block if isinstance(block, dict) else {}
