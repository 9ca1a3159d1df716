"""Draw the curves, confusion matrix and calibration of all methods side by side."""

from vertegrade.evaluation.cases import labelled_cases, read_cohort, split_cases
from vertegrade.evaluation.figures import all_figures
from vertegrade.files import new_folder, read_json
from vertegrade.plotting import save_figure
from vertegrade.tables import PREDICTIONS, read_table
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    cohort = read_cohort(job.input)
    metrics = {numbers["method"]: numbers for numbers in map(read_json, job.input.metrics)}
    cases = {}
    for method, path in zip(metrics, job.input.predictions, strict=True):
        cases[method] = split_cases(labelled_cases(read_table(path, PREDICTIONS), cohort), "test")
    with new_folder(job.output[0]) as folder:
        for name, figure in all_figures(cases, metrics).items():
            for suffix in ("svg", "png"):
                save_figure(figure, folder / f"{name}.{suffix}")
