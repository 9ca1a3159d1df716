"""Say in plain words what a run would do and why."""

from vertegrade.workflow.job import run_job
from vertegrade.workflow.locks import WORKS, is_locked
from vertegrade.workflow.plan import TargetError, open_workflow
from vertegrade.workflow.why import explain

with run_job(snakemake) as job, open_workflow(job.config, **job.params.workflow) as now:
    try:
        lines = explain(now, job.params.targets)
    except TargetError as error:
        raise SystemExit(str(error)) from None
    if is_locked():
        print(WORKS)
    for line in lines:
        print(line)
