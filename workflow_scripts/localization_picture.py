"""Each scan's spine from the side: as it is, for the pages, and with what localization found in it."""

from pathlib import Path

import pandas as pd
from PIL import Image

from vertegrade.ct.volume import read_volume
from vertegrade.files import new_folder
from vertegrade.plotting import save_figure
from vertegrade.progress import progress
from vertegrade.report.localization_picture import localization_figure
from vertegrade.report.spine_view import PIXEL_MM, spine_view
from vertegrade.settings.report import ReportSettings
from vertegrade.tables import LANDMARKS, SPINES, empty_table, read_table, write_table
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job, new_folder(job.output.pictures) as pictures, new_folder(job.output.spines) as spines:
    settings = job.settings(ReportSettings)
    drawn = []
    scans = list(read_table(job.input.landmarks, LANDMARKS).groupby("scan_id", sort=True))
    for scan_id, vertebrae in progress(scans, job.log, "pictures"):
        view = spine_view(read_volume(f"{job.input.volumes}/{scan_id}_ct.nii.gz"), vertebrae, settings)
        save_figure(localization_figure(view, vertebrae), Path(pictures, f"{scan_id}.png"))
        Image.fromarray(view.grey).save(Path(spines, f"{scan_id}.png"))
        place = (vertebrae["patient_id"].iloc[0], scan_id, *view.grey.shape, PIXEL_MM, view.z[0], view.y[0])
        drawn.append(dict(zip(SPINES.columns, place, strict=True)))
    write_table(job.output.places, pd.DataFrame(drawn) if drawn else empty_table(SPINES), SPINES)
    job.log.info("%d pictures", len(drawn))
