"""Write the page and the figure of all methods side by side."""

import logging
from pathlib import Path

import pandas as pd

from vertegrade.evaluation.comparison.figure import comparison_figure
from vertegrade.evaluation.comparison.tables import COMPARED_GROUPS, COMPARISON, LEARNING_CURVE, LEFT_OUT
from vertegrade.files import write_text
from vertegrade.plotting import save_figure
from vertegrade.report.comparison.page import Compared, comparison_page
from vertegrade.settings.evaluation import EvaluationSettings
from vertegrade.tables import empty_table, read_table
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    logging.getLogger("fontTools").setLevel(logging.WARNING)  # of the PDF's letters
    comparison = read_table(job.input.comparison, COMPARISON)
    curves = [read_table(path, LEARNING_CURVE) for path in job.input.learning]
    learning = pd.concat(curves, ignore_index=True) if curves else empty_table(LEARNING_CURVE)
    groups = read_table(job.input.groups, COMPARED_GROUPS)
    figure = comparison_figure(comparison, learning, groups, "phantoms" if job.params.phantom else "patients")
    for path in (job.output.svg, job.output.pdf):
        save_figure(figure, path)
    compared = Compared(comparison, read_table(job.input.left_out, LEFT_OUT), learning, groups, Path(job.output.svg))
    confidence = job.settings(EvaluationSettings).confidence
    write_text(job.output.page, comparison_page(compared, confidence, job.params.phantom))
