"""Say in plain words what a run would do and because of what."""

from vertegrade.provenance.why import explain
from vertegrade.provenance.workflow import open_workflow
from vertegrade.stage import run_stage

with run_stage(snakemake) as job, open_workflow(job.config, **job.params.workflow) as now:
    for line in explain(now, job.results, job.params.targets):
        print(line)
