"""The counterfactual strips as a picture, with what changed and a watermark."""

import pandas as pd

from vertegrade.arrays import read_array
from vertegrade.plotting import save_figure
from vertegrade.report.montage import counterfactual_figure, true_grades, with_doubts
from vertegrade.settings.report import ReportSettings
from vertegrade.tables import GRADE_TABLE, LABELS, read_table
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    strips = with_doubts(pd.read_parquet(job.input.strips), read_table(job.input.grades, GRADE_TABLE))
    grades = true_grades(strips, read_table(job.input.labels, LABELS))
    figure = counterfactual_figure(read_array(job.input.images), strips, grades, job.settings(ReportSettings))
    save_figure(figure, job.output[0])
