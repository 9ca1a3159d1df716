"""Say in plain words what a run would do and because of what."""

from vertegrade.provenance.locks import WORKS, is_locked
from vertegrade.provenance.why import explain
from vertegrade.provenance.workflow import TargetError, open_workflow
from vertegrade.stage import run_stage

with run_stage(snakemake) as job, open_workflow(job.config, **job.params.workflow) as now:
    try:
        lines = explain(now, job.params.targets)
    except TargetError as error:
        raise SystemExit(str(error)) from None
    if is_locked():
        print(WORKS)
    for line in lines:
        print(line)
