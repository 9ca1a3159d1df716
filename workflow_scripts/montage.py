"""Crops of the test split in the order of their predicted severity."""

import numpy as np

from vertegrade.arrays import read_array
from vertegrade.plotting import save_figure
from vertegrade.report.montage import mid_sagittal, montage_figure, true_grades, with_doubts
from vertegrade.report.spread import spread_by_severity
from vertegrade.settings.report import ReportSettings
from vertegrade.tables import CROPS, GRADE_TABLE, LABELS, PREDICTIONS, read_table
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    settings = job.settings(ReportSettings)
    rows = spread_by_severity(read_table(job.input.predictions, PREDICTIONS), settings.montage_crops)
    rows = with_doubts(rows, read_table(job.input.grades, GRADE_TABLE))
    images = {}
    for crops_file, pixels_file in zip(job.input.crops, job.input.pixels, strict=True):
        crops = read_table(crops_file, CROPS).merge(rows[["scan_id", "vertebra"]], on=["scan_id", "vertebra"])
        pixels = mid_sagittal(read_array(pixels_file)[crops["crop"].to_numpy()])
        images |= dict(zip(zip(crops["scan_id"], crops["vertebra"], strict=True), pixels, strict=True))
    hu = np.array([images[key] for key in zip(rows["scan_id"], rows["vertebra"], strict=True)])
    figure = montage_figure(hu, rows, true_grades(rows, read_table(job.input.labels, LABELS)), settings)
    save_figure(figure, job.output[0])
