"""The strips as a picture, with what changed and a watermark, and as animations; and drawn beside bent vertebrae."""

import numpy as np

from vertegrade.arrays import read_array
from vertegrade.drawn_tables import COUNTERFACTUALS
from vertegrade.files import new_folder
from vertegrade.plotting import save_figure
from vertegrade.report.montage import mid_sagittal, true_grades, with_doubts
from vertegrade.report.rivals import rivals_figure
from vertegrade.report.spread import shown_strips
from vertegrade.report.strip_table import film_name
from vertegrade.report.strips import animation, counterfactual_figure, within_window
from vertegrade.settings.dae import CounterfactualSettings, DaeModelSettings
from vertegrade.settings.report import ReportSettings
from vertegrade.tables import GRADE_TABLE, LABELS, PREDICTIONS, empty_table, read_table
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job, new_folder(job.output.animations) as folder:
    settings = within_window(job.settings(ReportSettings), job.settings(DaeModelSettings))
    images = read_array(job.input.images)
    pictures = read_table(job.input.strips, COUNTERFACTUALS)
    predictions = read_table(job.input.predictions, PREDICTIONS)
    rows = shown_strips(predictions, pictures, job.settings(CounterfactualSettings).shown)
    rows = with_doubts(rows, read_table(job.input.grades, GRADE_TABLE)).reset_index(drop=True)
    place = {int(row): n for n, row in enumerate(rows["row"])}
    shown = pictures[pictures["row"].isin(place)].assign(row=lambda table: table["row"].map(place))
    labels = read_table(job.input.labels, LABELS) if job.input.labels else empty_table(LABELS)
    grades = true_grades(rows, labels)
    strips = images[rows["row"].to_numpy(dtype=np.int64)]
    save_figure(counterfactual_figure(strips, rows, shown, grades, settings), job.output.figure)
    for n, row in enumerate(rows.itertuples()):
        strip = shown[shown["row"] == n].sort_values("picture")
        heads = [f"grade {grade}" for grade in strip["wanted_grade"]]
        (folder / film_name(row.scan_id, row.vertebra)).write_bytes(animation(strips[n, 2:], heads, settings))
    # the last picture of a strip is the most severe one, where the two kinds differ most
    last = shown[shown["picture"] == shown["picture"].max()].sort_values("row")
    asked = [f"grade {picture.wanted_grade}, {picture.shape}" for picture in last.itertuples()]
    bent = read_array(job.input.rivals)[rows["row"].to_numpy(dtype=np.int64), -1]
    beside = np.stack([mid_sagittal(strips[:, 0]), mid_sagittal(strips[:, -1]), bent], axis=1)
    save_figure(rivals_figure(beside, rows, asked, settings), job.output.rivals)
