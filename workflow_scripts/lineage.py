"""Every file, setting and code version behind one vertebra's grade, as a page and as a table."""

from pathlib import Path

import pandas as pd

from vertegrade.cohort.sheet import shard_of
from vertegrade.files import file_hashes, read_json, write_text
from vertegrade.grading.grades import grade_table
from vertegrade.methods import INTACT_HEIGHTS
from vertegrade.tables import KEY, PREDICTIONS, read_table, write_frame
from vertegrade.workflow.job import run_job
from vertegrade.workflow.lineage import (
    graded_rows,
    learned_splits,
    lineage_page,
    lineage_table,
    scans_of,
    steps_behind,
)
from vertegrade.workflow.manifest import read_manifests

with run_job(snakemake) as job:
    scan, level = job.wildcards.scan, job.wildcards.level
    predictions = {Path(path).stem: read_table(path, PREDICTIONS) for path in job.input.predictions}
    rows = graded_rows(pd.concat(predictions.values()), scan, level)
    grades = grade_table(predictions).set_index(KEY)
    rows = rows.assign(flags=grades.loc[[(scan, vertebra) for vertebra in rows["vertebra"]], "flags"].tolist())
    own, model = (str(Path(name)) if name else "" for name in (job.results, job.config["run"]["model"]))
    runs = {results: list(read_manifests(results)) for results in filter(None, (own, model))}
    manifests = [manifest for of_run in runs.values() for manifest in of_run]
    shard = shard_of(scan, job.config["cohort"]["shards"])
    steps = steps_behind(file_hashes(job.input.predictions), manifests, shard, own)
    behind = [step.manifest for step in steps]  # not what the run made besides, as the challenge
    scans = {
        results: scans_of(
            [manifest for manifest in behind if manifest.results == results],
            learned_splits(results, of_run) if results == (model or own) else None,
        )
        for results, of_run in runs.items()
    }
    table = lineage_table(steps, scan, scans)
    write_frame(job.output.table, table)
    read = {path for manifest in behind for path in manifest.inputs}
    heights = [read_json(path)["about"] for path in sorted(read) if path.endswith(f"/{INTACT_HEIGHTS}")]
    write_text(job.output.page, lineage_page(rows, steps, table, level, model, "; ".join(heights)))
    job.log.info("%s", table.groupby(["relation", "kind"]).size().to_dict())
