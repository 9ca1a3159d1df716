"""What a run would do and why, in plain words, from the present workflow and the manifests."""

from collections import defaultdict
from collections.abc import Sequence

from vertegrade.workflow.manifest import job_name
from vertegrade.workflow.plan import OpenWorkflow, Planned
from vertegrade.workflow.present import some


def explain(workflow: OpenWorkflow, targets: Sequence[str] = ()) -> list[str]:
    """One line per cause: the jobs that it concerns, then what it is. One line where nothing would run."""
    planned = workflow.planned(targets)
    if not planned:
        return [
            f"Nothing would run: the manifests of {workflow.checked} jobs agree with the present inputs, results, "
            "settings, code and packages."
        ]
    makers = {path: job_name(job.rule, job.wildcards) for job in planned for path in job.outputs}
    causes: dict[tuple[str, str], list[str]] = defaultdict(list)
    for job in planned:
        cause = "; ".join(_own_causes(job, workflow)) or _from_others(job, makers)
        causes[job.rule, cause].append(job_name(job.rule, job.wildcards))
    lines = [f"{_several(jobs)}: {cause}" for (_, cause), jobs in causes.items()]
    return [f"{len(planned)} job(s) would run.", *lines]


def _several(jobs: list[str]) -> str:
    return jobs[0] if len(jobs) == 1 else f"{jobs[0]} and {len(jobs) - 1} more of its kind"


def _own_causes(job: Planned, workflow: OpenWorkflow) -> list[str]:
    """Causes that lie at the job itself."""
    name = job_name(job.rule, job.wildcards)
    found = list(workflow.contradictions.get(name, []))
    if job.missing:
        found.append(f"{some(job.missing)} is not there")
    if "forced" in job.causes and not found:
        found.append("it is forced")
    if "software_stack_changed" in job.causes:
        found.append("its environment file was changed")
    return found


def _from_others(job: Planned, makers: dict[str, str]) -> str:
    """Which jobs before it run, where the job itself has no cause."""
    before = sorted({makers[path] for path in job.from_jobs if path in makers})
    return f"follows {some(before)}" if before else "a job before it runs"
