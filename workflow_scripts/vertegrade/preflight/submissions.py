"""What a run would ask SLURM for: each kind of job as Snakemake and its plugin would submit it; nothing is submitted.

Snakemake's API ends at running, so this uses its workflow object, as workflow/plan.py does, and the plugin's own
function that writes the `sbatch` call; the lock fixes both versions, and tests/slurm compares with jobs that ran.
"""

import shlex
from collections.abc import Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from snakemake.api import SnakemakeApi
from snakemake.cli import parse_args
from snakemake.logging import logger
from snakemake.settings.enums import Quietness
from snakemake.settings.types import (
    ConfigSettings,
    DAGSettings,
    ExecutionSettings,
    GroupSettings,
    OutputSettings,
    ResourceSettings,
)
from snakemake_executor_plugin_slurm.partitions import get_best_partition, read_partition_file
from snakemake_executor_plugin_slurm.submit_string import get_submit_command
from snakemake_executor_plugin_slurm.utils import set_gres_string
from snakemake_executor_plugin_slurm.validation import validate_slurm_extra
from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry


@dataclass(frozen=True)
class Submission:
    """A kind of job: its rules (several in a group), the try, resources, the `sbatch` call, or why there is none."""

    name: str
    attempt: int
    resources: dict[str, Any]
    call: tuple[str, ...]
    refusal: str = ""

    @property
    def asked(self) -> str:
        """What of the call is the job's own."""
        names = (
            "slurm_account",
            "slurm_partition",
            "_cores",
            "mem_mb",
            "runtime",
            "gpu",
            "gpu_model",
            "gres",
            "slurm_extra",
        )
        given = {name: self.resources.get(name) for name in names}
        return ", ".join(f"{name.replace('_cores', 'threads')} {value}" for name, value in given.items() if value)


def submissions(snakefile: Path, profile: str, configfiles: Sequence[str]) -> list[Submission]:
    """Each different job that a run of everything would submit, at its first try and its last.

    WorkflowError (and what the workflow itself raises) where the workflow or the profile cannot be read.
    """
    given = [
        "--snakefile",
        str(snakefile),
        "--profile",
        profile,
        *(["--configfile", *configfiles] if configfiles else []),
    ]
    with redirect_stderr(StringIO()):
        _, options = parse_args(given)
    plugin = ExecutorPluginRegistry().get_plugin("slurm")
    settings = plugin.get_settings(options)
    partitions = read_partition_file(settings.partition_config) if settings.partition_config else []
    with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
        workflow = api.workflow(
            resource_settings=ResourceSettings(
                nodes=options.jobs,
                max_threads=options.max_threads,
                resources=options.resources,
                overwrite_threads=options.set_threads,
                overwrite_resource_scopes=options.set_resource_scopes,
                overwrite_resources=options.set_resources,
                default_resources=options.default_resources,
            ),
            config_settings=ConfigSettings(configfiles=options.configfile or []),
            snakefile=snakefile,
        )._workflow
        workflow._executor_plugin = plugin
        workflow.execution_settings = ExecutionSettings(lock=False)
        workflow.dag_settings = DAGSettings(forceall=True)
        workflow.group_settings = GroupSettings(
            group_components=options.group_components, overwrite_groups=options.groups
        )
        workflow._prepare_dag(forceall=True, ignore_incomplete=True, lock_warn_only=True, nolock=True)
        workflow._build_dag()
        workflow.async_run(workflow.dag.postprocess(update_needrun=False))
        found: dict[tuple[str, ...], Submission] = {}
        for attempt in sorted({1, 1 + (options.retries or 0)}):
            for job in sorted(workflow.dag.get_jobs_or_groups(), key=lambda job: job.name):
                if not job.is_local:
                    job.attempt = attempt
                    one = _submission(job, attempt, settings, partitions)
                    found.setdefault((one.name, one.refusal, *one.call), one)
    return list(found.values())


def _submission(job: Any, attempt: int, settings: Any, partitions: Sequence[Any]) -> Submission:
    name = ", ".join(sorted({one.rule.name for one in (job.jobs if job.is_group() else [job])}))
    resources = dict(job.resources.items())
    account = resources.get("slurm_account")
    try:
        partition = resources.get("slurm_partition") or (partitions and get_best_partition(partitions, job, logger))
        facts = {
            "run_uuid": "check",
            "slurm_logfile": "/dev/null",
            "comment_str": "check",
            "account": f"-A {shlex.quote(str(account))}" if account else "",
            "partition": f"-p {shlex.quote(str(partition))}" if partition else "",
            "workdir": "",
        }
        validate_slurm_extra(job)
        call = get_submit_command(job, facts, settings=settings) + set_gres_string(job)
    except WorkflowError as error:
        return Submission(name, attempt, resources, (), " ".join(str(error).split()))
    return Submission(name, attempt, resources, tuple(shlex.split(call)))
