"""Draw the curves, confusion matrix and calibration of all methods side by side."""

from vertegrade.evaluation.cases import labelled_cases, split_cases
from vertegrade.evaluation.figures import all_figures
from vertegrade.files import new_folder, read_json
from vertegrade.plotting import save_figure
from vertegrade.tables import CROPS, LABELS, PATIENT_SPLITS, PREDICTIONS, SCANS, read_table, read_tables
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    labels, splits = read_table(job.input.labels, LABELS), read_table(job.input.splits, PATIENT_SPLITS)
    scans, crops = read_tables(job.input.scans, SCANS), read_tables(job.input.crops, CROPS)
    metrics = {numbers["method"]: numbers for numbers in map(read_json, job.input.metrics)}
    cases = {}
    for method, path in zip(metrics, job.input.predictions, strict=True):
        predictions = read_table(path, PREDICTIONS)
        cases[method] = split_cases(labelled_cases(predictions, labels, scans, crops, splits), "test")
    with new_folder(job.output[0]) as folder:
        for name, figure in all_figures(cases, metrics).items():
            for suffix in ("svg", "png"):
                save_figure(figure, folder / f"{name}.{suffix}")
