"""The present workflow, read in this process: each job's present params, and what a run would do and why.

Snakemake's API ends at printing, so this uses its workflow object itself; envs/requirements.lock fixes its version, and
tests/runs compares with real dry runs.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snakemake.api import SnakemakeApi
from snakemake.exceptions import MissingInputException, MissingRuleException
from snakemake.iocontainers import Wildcards
from snakemake.settings.enums import Quietness, RerunTrigger
from snakemake.settings.types import (
    ConfigSettings,
    DAGSettings,
    OutputSettings,
    ResourceSettings,
    SharedFSUsage,
    StorageSettings,
)

from vertegrade.workflow.manifest import plain


class TargetError(ValueError):
    """The workflow does not make what was asked for."""


@dataclass(frozen=True)
class Planned:
    """A job that a run would execute.

    causes: what Snakemake found at the job itself, besides contradictions: forced, software_stack_changed. from_jobs:
    inputs that a job before it makes again. missing: outputs that are not there.
    """

    rule: str
    wildcards: dict[str, str]
    inputs: list[str]
    outputs: list[str]
    causes: list[str]
    from_jobs: list[str]
    missing: list[str]


class OpenWorkflow:
    """A parsed workflow."""

    def __init__(self, workflow: Any, triggers: frozenset[RerunTrigger]) -> None:
        self._workflow, self._triggers = workflow, triggers

    def rules(self) -> list[str]:
        """Names of all rules."""
        return [rule.name for rule in self._workflow.rules]

    def params(self, rule: str, wildcards: dict[str, str]) -> dict[str, Any] | None:
        """Params that a job has now, as its manifest would record them; None where the workflow has no such job."""
        if not self._workflow.is_rule(rule):
            return None
        found = {}
        for name, value in self._workflow.get_rule(rule).params.items():
            try:
                found[name] = value(Wildcards(fromdict=wildcards)) if callable(value) else value
            except KeyError:  # a shard that the cohort no longer has
                return None
        return plain(found)

    @property
    def contradictions(self) -> dict[str, list[str]]:
        """After `planned`: what speaks against the results of jobs, in words, by the job's name."""
        found: dict[str, list[str]] = self._workflow.contradictions
        return found

    @property
    def checked(self) -> int:
        """After `planned`: number of jobs whose results were compared with their manifests."""
        return int(self._workflow.checked)

    @property
    def inputs(self) -> list[str]:
        """After `planned`: files and folders that jobs of the plan read, sorted, whether they would run or not."""
        return sorted({str(path) for job in self._workflow.dag.jobs for path in job.input})

    def planned(self, targets: Sequence[str] = ()) -> list[Planned]:
        """Jobs that a run of the targets (none: the default one) would execute, in the order of the workflow.

        targets: files or rules; TargetError where there is no such rule and nothing makes such a file.
        """
        self._workflow.dag_settings = DAGSettings(targets=set(targets), rerun_triggers=self._triggers)
        self._workflow._prepare_dag(forceall=False, ignore_incomplete=True, lock_warn_only=True, nolock=True)
        try:
            self._workflow._build_dag()
        except (MissingRuleException, MissingInputException) as error:
            raise TargetError(f"no rule is called, and none makes: {' '.join(targets)}\n{error}") from error
        dag = self._workflow.dag
        needed = set(dag.needrun_jobs())
        order = [job for level in dag.toposorted() for job in sorted(level, key=str)]
        return [_planned(job, dag.reason(job)) for job in order if job in needed and job.output]


def _planned(job: Any, reason: Any) -> Planned:
    causes = ["software_stack_changed"] * bool(reason.software_stack_changed)
    return Planned(
        rule=job.rule.name,
        wildcards={name: str(value) for name, value in job.wildcards_dict.items()},
        inputs=sorted(map(str, job.input)),
        outputs=sorted(map(str, job.output)),
        causes=causes + ["forced"] * bool(reason.forced),
        from_jobs=sorted(map(str, reason.updated_input_run)),
        missing=sorted(map(str, reason.missing_output)),
    )


@contextmanager
def open_workflow(
    config: dict[str, Any], snakefile: str | Path, triggers: Sequence[str], files: Sequence[str] = ()
) -> Iterator[OpenWorkflow]:
    """Parse the workflow in the current folder. `config` overrides the config `files`, and these override config.yaml.

    triggers: rerun triggers of the profile, which the API does not read.
    """
    quiet = OutputSettings(quiet={Quietness.ALL})
    wanted = frozenset(RerunTrigger.parse_choice(name) for name in triggers)
    with SnakemakeApi(quiet) as api:
        opened = api.workflow(
            resource_settings=ResourceSettings(cores=1),
            storage_settings=StorageSettings(shared_fs_usage=SharedFSUsage.all() - {SharedFSUsage.SOURCE_CACHE}),
            config_settings=ConfigSettings(config=config, configfiles=[Path(file) for file in files]),
            snakefile=Path(snakefile),
        )
        yield OpenWorkflow(opened._workflow, wanted)
