"""Hash every file of the run again and report what no longer agrees; fails if there is anything."""

import pandas as pd

from vertegrade.tables import write_frame
from vertegrade.workflow.audit import Finding, audit
from vertegrade.workflow.job import run_job
from vertegrade.workflow.locks import WORKS, is_locked
from vertegrade.workflow.manifest import job_name, manifest_files
from vertegrade.workflow.plan import TargetError, open_workflow

SHOWN = 20  # findings in the log; all are in the table

with run_job(snakemake) as job:
    if not manifest_files(job.results):
        raise SystemExit(f"{job.results}: no job has left anything here; is run.results right?")
    if is_locked():
        job.log.warning(WORKS)
    with open_workflow(job.config, **job.params.workflow) as now:
        wanted, inputs = {}, []
        try:
            wanted = {path: job_name(plan.rule, plan.wildcards) for plan in now.planned() for path in plan.missing}
            inputs = now.inputs
        except TargetError as error:  # an input such as a label table is gone; what was made is audited nevertheless
            job.log.error("%s", error)
        found = audit(job.results, now.params, wanted, inputs, job.params.elsewhere, job.threads)
    table = pd.DataFrame(map(vars, found.findings), columns=list(Finding.__annotations__))
    write_frame(job.params.findings, table)
    for finding in found.findings[:SHOWN]:
        job.log.error("%s: %s: %s", finding.kind, finding.path, finding.message)
    job.log.info("%d jobs, %d files, %.0f MB: %s", found.jobs, found.files, found.bytes / 1e6, found.counts())
    job.log.info("seal of all manifests: %s", found.seal)
    if found.findings:
        raise SystemExit(f"{len(found.findings)} finding(s), all in {job.params.findings}")
