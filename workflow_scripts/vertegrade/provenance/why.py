"""What a run would do and because of what, in plain words, from the workflow as it is now and the manifests."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from vertegrade.manifest import ManifestError, job_name, manifest_path, read_manifest
from vertegrade.provenance.check import describe_changes
from vertegrade.provenance.workflow import OpenWorkflow, Planned

SHOWN = 3


def explain(workflow: OpenWorkflow, results: str | Path, targets: Sequence[str] = ()) -> list[str]:
    """One line a cause: the jobs that it concerns, then what it is. One line where nothing would run."""
    planned = workflow.planned(targets)
    if not planned:
        return ["Nothing would run: all results are of the present inputs, settings, code and packages."]
    makers = {path: job_name(job.rule, job.wildcards) for job in planned for path in job.outputs}
    causes: dict[tuple[str, str], list[str]] = defaultdict(list)
    for job in planned:
        cause = "; ".join(_own_causes(job, workflow, results)) or _from_others(job, makers)
        causes[job.rule, cause].append(job_name(job.rule, job.wildcards))
    lines = [f"{_several(jobs)}: {cause}" for (_, cause), jobs in causes.items()]
    return [f"{len(planned)} job(s) would run.", *lines]


def _several(jobs: list[str]) -> str:
    return jobs[0] if len(jobs) == 1 else f"{jobs[0]} and {len(jobs) - 1} more of its kind"


def _own_causes(job: Planned, workflow: OpenWorkflow, results: str | Path) -> list[str]:
    """Causes that lie at the job itself."""
    found = []
    if job.missing:
        found.append(f"{_some(job.missing)} is not there")
    if job.updated:
        found.append(f"{_some(job.updated)} was changed")
    if "forced" in job.causes:
        found.append("it is forced")
    if "software_stack_changed" in job.causes:
        found.append("its environment file was changed")
    if "params_changed" not in job.causes and "input_changed" not in job.causes:
        return found
    try:
        before = read_manifest(manifest_path(results, job.rule, job.wildcards))
    except ManifestError:
        return [*found, "its settings, code or inputs are others (its manifest is lost, so which cannot be said)"]
    now = workflow.params(job.rule, job.wildcards)
    if "params_changed" in job.causes and now is not None:
        found += describe_changes(before, now)
    if "input_changed" in job.causes:
        found += _other_inputs(job.inputs, sorted(before.inputs))
    return found


def _other_inputs(now: list[str], before: list[str]) -> list[str]:
    """Inputs that a job did not have, and those that it no longer has; a folder stands for the files in it."""
    new = [path for path in now if not any(old == path or old.startswith(f"{path}/") for old in before)]
    gone = [old for old in before if not any(old == path or old.startswith(f"{path}/") for path in now)]
    return [f"new input {_some(new)}"] * bool(new) + [f"no longer an input: {_some(gone)}"] * bool(gone)


def _from_others(job: Planned, makers: dict[str, str]) -> str:
    """Which jobs before it run, where there is no cause of its own."""
    before = sorted({makers[path] for path in job.from_jobs if path in makers})
    return f"follows {_some(before)}" if before else "a job before it runs"


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
