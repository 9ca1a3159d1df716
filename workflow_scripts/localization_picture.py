"""A picture of what localization found in each scan of a shard."""

from pathlib import Path

from vertegrade.ct.volume import read_volume
from vertegrade.files import new_folder
from vertegrade.plotting import save_figure
from vertegrade.report.localization_picture import localization_figure
from vertegrade.settings.report import ReportSettings
from vertegrade.tables import LANDMARKS, read_table
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job, new_folder(job.output[0]) as folder:
    settings = job.settings(ReportSettings)
    for scan_id, vertebrae in read_table(job.input.landmarks, LANDMARKS).groupby("scan_id", sort=True):
        volume = read_volume(f"{job.input.volumes}/{scan_id}_ct.nii.gz")
        save_figure(localization_figure(volume, vertebrae, settings), Path(folder, f"{scan_id}.png"))
    job.log.info("%d pictures", len(list(Path(folder).iterdir())))
