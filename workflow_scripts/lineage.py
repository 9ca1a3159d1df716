"""Every file, setting and code version behind one vertebra's grade, as a page and as a table."""

import pandas as pd

from vertegrade.cohort.sheet import shard_of
from vertegrade.files import write_text
from vertegrade.manifest import read_manifests
from vertegrade.provenance.lineage import graded_rows, lineage_page, lineage_table, paths_by_scan, steps_behind
from vertegrade.stage import run_stage, write_frame
from vertegrade.tables import PREDICTIONS, read_table

with run_stage(snakemake) as job:
    scan, level = job.wildcards.scan, job.wildcards.level
    predictions = [read_table(path, PREDICTIONS) for path in job.input.predictions]
    rows = graded_rows(pd.concat(predictions), scan, level)
    shard = shard_of(scan, job.config["cohort"]["shards"])
    steps = steps_behind(job.input.predictions, list(read_manifests(job.results)), shard)
    cohort = [row for step in steps for row in step.manifest.params.get("rows", [])]
    table = lineage_table(steps, scan, paths_by_scan(cohort))
    write_frame(job.output.table, table)
    write_text(job.output.page, lineage_page(rows, steps, table, level))
    job.log.info("%s", table.groupby(["relation", "kind"]).size().to_dict())
