"""A Snakemake profile for SLURM against the cluster that it is to run on."""

import importlib.util
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from vertegrade.gpus import check_together, gpus_asked_for
from vertegrade.settings import Settings

if TYPE_CHECKING:
    from vertegrade.preflight.submissions import Submission

GPU_RULES = ("train_dae", "localize", "encode", "fit_steps", "counterfactual", "looks_at")
# Of methods that only `methods` asks for.
GPU_RULES_OF = {name: [f"train_{name}", f"score_{name}"] for name in ("supervised", "supcon", "seq2seq")}
GPU_RULES_OF["seq2seq"].insert(0, "straight_spines")
TIMEOUT_S = 60


class Partition(NamedTuple):
    """Generic resources of a partition, such as `gpu:a100:4`, and the minutes that a job may take (None: no limit)."""

    gres: str
    minutes: float | None


def check_profile(profile: str, device: str, methods: Sequence[str] = ()) -> list[str]:
    """Problems of a profile: unreadable, other executor's plugin missing, partitions that are not there or lack a GPU.

    device: `run.device`; with `cpu` no rule asks for a GPU. methods: those that grade.
    """
    try:
        path = _file(profile)
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        return [f"profile {profile}: cannot be read ({type(error).__name__}); name a folder with profile.yaml"]
    if not isinstance(content, dict):
        return [f"{path}: contains no keys; compare it with slurm/profile.yaml"]
    if content.get("executor") != "slurm":
        return []
    problems = []
    if importlib.util.find_spec("snakemake_executor_plugin_slurm") is None:
        problems.append("snakemake-executor-plugin-slurm is not installed; make the environment again")
    missing = [program for program in ("sbatch", "sinfo") if shutil.which(program) is None]
    if missing:
        return [*problems, f"{', '.join(missing)}: not on the PATH; check where you submit jobs, or without a profile"]
    try:
        partitions = _partitions()
    except (OSError, subprocess.SubprocessError) as error:
        return [*problems, f"sinfo fails ({type(error).__name__}); is SLURM's controller up?"]
    return [*problems, *_against_cluster(path, content, partitions, device, methods)]


def _file(profile: str) -> Path:
    """The file of a profile as Snakemake looks for it: a path, or a folder of that name here."""
    folder = Path(profile)
    names = ("profile.yaml", "config.v9+.yaml", "config.v8+.yaml", "config.yaml")
    return next((folder / name for name in names if (folder / name).is_file()), folder)


def check_submissions(
    profile: str, settings: Settings, snakefile: Path, configfiles: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Problems and notes of what the profile makes a run ask for: each kind of job is tried by `sbatch --test-only`.

    A note is a refusal of the last try only, of a job that failed before. For a profile that `check_profile` accepts.
    """
    content = yaml.safe_load(_file(profile).read_text(encoding="utf-8"))
    if content.get("executor") != "slurm":
        return [], []
    from vertegrade.preflight.submissions import WorkflowError, submissions

    try:
        wanted, partitions = submissions(snakefile, profile, configfiles), _partitions()
    except (WorkflowError, OSError, subprocess.SubprocessError) as error:
        return [f"{_file(profile)}: no job could be tried with it ({type(error).__name__}: {error}); correct it"], []
    first: dict[str, list[str]] = defaultdict(list)
    last: dict[str, list[str]] = defaultdict(list)
    names = set()
    for one in wanted:
        why = one.refusal or _not_together(one, settings) or _too_long(one, partitions) or _refusal_of_sbatch(one)
        if why and one.attempt == 1:
            names.add(one.name)
            first[why].append(f"{one.name} (asks for {one.asked})")
        elif why and one.name not in names:
            last[why].append(f"{one.name} (then asks for {one.asked})")
    path = _file(profile)
    problems = [f"{path}: SLURM would refuse {'; '.join(jobs)}: {why}" for why, jobs in first.items()]
    return problems, [
        f"{path}: SLURM would refuse the last try of {'; '.join(jobs)}: {why}" for why, jobs in last.items()
    ]


def _not_together(one: "Submission", settings: Settings) -> str:
    """Why the GPUs that a training asks for cannot train together; "" where they can, or for another job."""
    processes, kind = gpus_asked_for(one.resources)
    trained = {f"train_{method}": method for method in ("dae", *GPU_RULES_OF)}
    if one.name not in trained or processes < 2:
        return ""
    method, nodes = trained[one.name], int(one.resources.get("nodes") or 1)
    try:
        check_together(method, processes, nodes, kind, getattr(settings, method).train.batch_size)
    except ValueError as error:
        return str(error)
    return ""


def _too_long(one: "Submission", partitions: dict[str, Partition]) -> str:
    """Why a job would wait for ever: most clusters accept one that no partition lets run for so long."""
    names = str(one.resources.get("slurm_partition") or "").split(",")
    limits = [partitions[name].minutes for name in names if name in partitions]
    allowed = [limit for limit in limits if limit is not None]
    minutes = one.resources.get("runtime")
    if not allowed or len(allowed) < len(limits) or not isinstance(minutes, int) or minutes <= max(allowed):
        return ""
    return f"partition {','.join(names)} allows {max(allowed):.0f} minutes; set its runtime, or name another"


def _refusal_of_sbatch(one: "Submission") -> str:
    """What `sbatch --test-only` says against a job; "" where nothing."""
    trial = [*one.call, "--test-only", "--wrap", "true"]
    try:
        answer = subprocess.run(trial, capture_output=True, text=True, timeout=TIMEOUT_S)
    except (OSError, subprocess.SubprocessError) as error:
        return f"sbatch fails ({type(error).__name__})"
    lines = dict.fromkeys(line.strip() for line in answer.stderr.splitlines() if line.strip())
    return "" if answer.returncode == 0 else " / ".join(lines) or f"sbatch ends with status {answer.returncode}"


def _partitions() -> dict[str, Partition]:
    """The cluster's partitions by name."""
    answer = subprocess.run(
        ["sinfo", "--noheader", "--all", "--format=%R|%G|%l"],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    partitions: dict[str, Partition] = {}
    for line in answer.stdout.splitlines():
        name, gres, limit = f"{line.strip()}||".split("|")[:3]
        before = partitions[name].gres if name in partitions else ""
        partitions[name] = Partition(before + gres, _minutes(limit))
    return partitions


def _minutes(limit: str) -> float | None:
    """Minutes of SLURM's `days-hours:minutes:seconds`; None for `infinite` and what is no time."""
    days, _, rest = limit.rpartition("-")
    parts = [days or "0", *rest.rjust(1, "0").split(":")]
    if not all(part.isdigit() for part in parts):
        return None
    day, *clock = map(int, parts)
    hours, minutes, seconds = ([0, 0, 0, *clock])[-3:]
    return day * 1440 + hours * 60 + minutes + seconds / 60


def _against_cluster(
    path: Path, content: dict[str, Any], partitions: dict[str, Partition], device: str, methods: Sequence[str]
) -> Iterator[str]:
    common = _resources(content.get("default-resources")).get("slurm_partition")
    rules = content.get("set-resources") or {}
    named = {rule: _names(_resources(own).get("slurm_partition", common)) for rule, own in rules.items()}
    for name in sorted({name for names in (_names(common), *named.values()) for name in names} - partitions.keys()):
        yield f"{path}: partition {name!r} is not on this cluster; it has {', '.join(sorted(partitions))}"
    if device == "cpu":
        return
    for rule in (*GPU_RULES, *(rule for method in methods for rule in GPU_RULES_OF.get(method, ()))):
        names = [name for name in named.get(rule, _names(common)) if name in partitions]
        if names and not any("gpu" in partitions[name].gres for name in names):
            given = ",".join(names)
            yield f"{path}: {rule} asks for a GPU, partition {given!r} has none; name another, or set run.device: cpu"


def _names(partition: Any) -> list[str]:
    """Partitions of `slurm_partition`: one, or several, of which SLURM takes the first that is free."""
    return [name.strip(" '\"") for name in str(partition or "").split(",") if name.strip(" '\"")]


def _resources(block: Any) -> dict[str, Any]:
    """Resources as a mapping, which a profile may also give as a list of `name=value`."""
    if isinstance(block, list):
        return dict(item.split("=", 1) for item in map(str, block) if "=" in item)
    return block if isinstance(block, dict) else {}
