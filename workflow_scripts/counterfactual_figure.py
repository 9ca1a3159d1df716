"""The counterfactual strips as a picture, with what changed and a watermark."""

import pandas as pd

from vertegrade.evaluation.figures import save_figure
from vertegrade.files import read_array
from vertegrade.report.montage import counterfactual_figure, true_grades
from vertegrade.settings.report import ReportSettings
from vertegrade.stage import run_stage
from vertegrade.tables import LABELS, read_table

with run_stage(snakemake) as job:
    strips = pd.read_parquet(job.input.strips)
    grades = true_grades(strips, read_table(job.input.labels, LABELS))
    figure = counterfactual_figure(read_array(job.input.images), strips, grades, job.settings(ReportSettings))
    save_figure(figure, job.output[0])
