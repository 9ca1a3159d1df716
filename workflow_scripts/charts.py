"""The charts of the cohort's page: vertebrae against the truth, their intervals, and a map of the latent space."""

from pathlib import Path

from vertegrade.arrays import read_array
from vertegrade.files import new_folder, read_json, write_json, write_text
from vertegrade.grading.hyperplane import Hyperplane
from vertegrade.methods import METHODS
from vertegrade.report.charts.crops import crop_pictures, pictured, pictured_text
from vertegrade.report.charts.drawing import chart_svg, vega_script
from vertegrade.report.charts.figures import all_charts
from vertegrade.report.charts.latent_map import latent_map
from vertegrade.report.charts.names import INDEX, SCRIPT
from vertegrade.report.charts.rows import drawn_vertebrae, left_out, told
from vertegrade.settings.report import ReportSettings
from vertegrade.tables import CROPS, GRADE_TABLE, LABELS, LATENTS, PREDICTIONS, read_table, read_tables
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job, new_folder(job.output[0]) as folder:
    predictions = {Path(path).stem: read_table(path, PREDICTIONS) for path in job.input.predictions}
    methods = {name: METHODS[name].label for name in predictions}
    main, label = next(iter(methods.items()))
    drawn = drawn_vertebrae(
        predictions, read_table(job.input.grades, GRADE_TABLE), read_table(job.input.labels, LABELS)
    )
    plane = Hyperplane.from_dict(read_json(job.input.hyperplane))
    places = latent_map(read_tables(job.input.latents, LATENTS), plane, predictions[main], drawn)
    shown = pictured(drawn, main)
    crops = [read_table(path, CROPS) for path in job.input.crops]
    pixels = [read_array(path) for path in job.input.pixels]
    charts = all_charts(drawn, methods, places, job.params.phantom)
    figures = [figure for chart in charts for figure in chart.figures]
    for figure in figures:
        write_json(folder / f"{figure.name}.vl.json", figure.spec)
        write_text(folder / f"{figure.name}.svg", chart_svg(figure.spec))
    if figures:
        write_text(folder / SCRIPT, vega_script())
    index = {
        "charts": [chart.to_dict() for chart in charts],
        "methods": list(methods.values()),
        "notes": [left_out(predictions, drawn, label), pictured_text(drawn, shown)],
        "vertebrae": told(drawn, methods, places),
        "pictures": crop_pictures(shown, crops, pixels, job.settings(ReportSettings)),
    }
    write_json(folder / INDEX, index)
    job.log.info("%d vertebrae, %d with a picture", len(drawn), len(index["pictures"]))
