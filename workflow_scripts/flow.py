"""Count files, scans and vertebrae from the folder to the evaluated grade, with a reason for each left out."""

from vertegrade.evaluation.cases import read_cohort
from vertegrade.files import read_json, write_json
from vertegrade.plotting import save_figure
from vertegrade.report.flow import cohort_flow, flow_steps, flow_table
from vertegrade.report.flow_figure import flow_figure
from vertegrade.tables import GRADE_TABLE, LANDMARKS, SCANS, read_table, read_tables, write_frame
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    flow = cohort_flow(
        job.params.sheet,
        read_tables(job.input.converted, SCANS),
        read_tables(job.input.landmarks, LANDMARKS),
        read_cohort(job.input),
        read_table(job.input.grades, GRADE_TABLE),
        read_json(job.input.index[0]) if job.input.index else None,
    )
    write_json(job.output.numbers, flow)
    write_frame(job.output.table, flow_table(flow))
    save_figure(flow_figure(flow_steps(flow)), job.output.figure)
