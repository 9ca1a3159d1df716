"""The page of the scans: what became of each, each vertebra's grade with its image, and why one has none."""

from pathlib import Path

from vertegrade.arrays import read_array
from vertegrade.files import read_json, write_text
from vertegrade.report.montage import mid_sagittal
from vertegrade.report.scans_page import About, pictured_scans, scans_page, side_by_side
from vertegrade.settings.report import ReportSettings
from vertegrade.tables import CROPS, PREDICTIONS, SCANS, read_table, read_tables
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    scans = read_tables(job.input.scans, SCANS)
    grades = side_by_side({Path(path).stem: read_table(path, PREDICTIONS) for path in job.input.predictions})
    wanted = pictured_scans(scans, grades)
    crops = {}
    for crops_file, pixels_file in zip(job.input.crops, job.input.pixels, strict=True):
        table = read_table(crops_file, CROPS)
        table = table[table["scan_id"].isin(wanted)]
        pixels = mid_sagittal(read_array(pixels_file)[table["crop"].to_numpy()])
        crops |= dict(zip(zip(table["scan_id"], table["vertebra"], strict=True), pixels, strict=True))
    files = (file for folder in job.input.pictures for file in Path(folder).glob("*.png"))
    pictures = {file.stem: file for file in files if file.stem in wanted}
    card = read_json(job.input.card) if job.input.card else None
    about = About(card=card, strips=read_json(job.input.strips), **job.params.about)
    strips = Path(job.input.counterfactuals)
    write_text(job.output[0], scans_page(scans, grades, pictures, crops, strips, about, job.settings(ReportSettings)))
