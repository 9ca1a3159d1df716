"""Which jobs run again: those whose manifests contradict what is there, in every run, dry run and `why`.

Snakemake itself compares times and its own records in .snakemake. These do not see a file of an older time, a slice
exchanged in a folder, or results that were copied from elsewhere, and they are lost with .snakemake.
Read at parse time: what takes long to import is imported when jobs are planned.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from snakemake.io import _IOFile
from snakemake.logging import logger
from snakemake.persistence import NO_PARAMS_CHANGE
from snakemake.settings.enums import RerunTrigger

SHOWN = 10
_is_newer = _IOFile.is_newer  # as Snakemake has it


def decide_by_content(workflow: Any, results: str) -> None:
    """Let the manifests in `results` decide what a Snakemake workflow does again, when it is planned.

    Not where the command asks for `--touch`, or for `--rerun-triggers` without `params`: then Snakemake decides alone,
    as it does for rules that another workflow adds to ours.
    """
    build = workflow._build_dag

    def build_by_content() -> None:
        dag = workflow.dag
        by_snakemake = dag.check_incomplete

        async def check() -> None:
            await by_snakemake()
            if RerunTrigger.PARAMS in workflow.rerun_triggers and not workflow.touch:
                _decide(workflow, results)

        if workflow.is_main_process:
            dag.check_incomplete = check
        workflow.contradictions, workflow.checked, workflow.by_content = {}, 0, set()
        build()

    workflow._build_dag = build_by_content
    _IOFile.is_newer = _is_newer_by_time


async def _is_newer_by_time(file: _IOFile, time: float) -> bool:
    by_content: set[str] = getattr(file.rule.workflow, "by_content", set())
    return file.rule.name not in by_content and await _is_newer(file, time)


def _decide(workflow: Any, results: str) -> None:
    """Make the planned workflow run each job that its manifest contradicts, and none for times or Snakemake's records.

    Leaves in the workflow `contradictions` (words by the job's name) and `checked` (number of jobs).
    """
    from vertegrade.workflow.manifest import job_name
    from vertegrade.workflow.present import Hashes, contradictions, job_of_plan

    jobs = [job for job in workflow.dag.jobs if job.output and "workflow_scripts/" in str(job.rule.script)]
    workflow.by_content = {job.rule.name for job in jobs}
    made = {str(Path(output)) for job in jobs for output in job.output}
    hashes = Hashes(results)
    for planned in jobs:
        if any(map(os.path.exists, planned.output)):
            job = job_of_plan(planned)
            workflow.checked += 1
            words = contradictions(job, results, made, hashes)
            if words:
                workflow.dag.forcefiles.update(planned.output)
                workflow.contradictions[job_name(job.rule, job.wildcards)] = words
    hashes.remember()
    records = workflow.persistence
    records.params_changed = _unless(workflow.by_content, records.params_changed, NO_PARAMS_CHANGE)
    records.input_changed = _unless(workflow.by_content, records.input_changed, [])
    _tell(workflow.contradictions)


def _unless(rules: set[str], by_snakemake: Callable[..., Any], nothing: Any) -> Callable[..., Any]:
    """What Snakemake's records say of a job, or `nothing` for a job of one of these rules."""
    return lambda job, file=None: nothing if job.rule.name in rules else by_snakemake(job, file)


def _tell(found: dict[str, list[str]]) -> None:
    for name, words in list(found.items())[:SHOWN]:
        logger.info(f"{name} runs again: {'; '.join(words)}")
    if len(found) > SHOWN:
        logger.info(f"... and {len(found) - SHOWN} more; `snakemake why` lists all.")
