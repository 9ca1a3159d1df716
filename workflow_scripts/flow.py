"""Count what came in and what was left out on the way, from files to evaluated grades: table, figure and numbers."""

import pandas as pd

from vertegrade.files import read_json, write_json
from vertegrade.plotting import save_figure
from vertegrade.report.flow import cohort_flow, flow_steps, flow_table
from vertegrade.report.flow_figure import flow_figure
from vertegrade.tables import (
    CROPS,
    LABELS,
    LANDMARKS,
    PATIENT_SPLITS,
    PREDICTIONS,
    SCANS,
    check_table,
    read_table,
    read_tables,
    write_frame,
)
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    labels = [read_table(path, LABELS) for path in job.input.labels]
    flow = cohort_flow(
        job.params.sheet,
        read_tables(job.input.converted, SCANS),
        read_tables(job.input.scans, SCANS),
        read_tables(job.input.landmarks, LANDMARKS),
        read_tables(job.input.crops, CROPS),
        labels[0] if labels else check_table(pd.DataFrame(columns=list(LABELS.columns)), LABELS, "no labels"),
        read_table(job.input.predictions, PREDICTIONS),
        read_table(job.input.splits, PATIENT_SPLITS),
        read_json(job.input.index[0]) if job.input.index else None,
    )
    write_json(job.output.numbers, flow)
    write_frame(job.output.table, flow_table(flow))
    save_figure(flow_figure(flow_steps(flow)), job.output.figure)
