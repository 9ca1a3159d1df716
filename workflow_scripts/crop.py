"""Cut straightened, vertebra-centred crops of fixed millimetres from a shard's scans."""

import numpy as np
import pandas as pd

from vertegrade.arrays import write_array
from vertegrade.ct.volume import read_volume
from vertegrade.progress import progress
from vertegrade.settings.spine import CropSettings
from vertegrade.spine.crop import crop_scan
from vertegrade.tables import CROPS, LANDMARKS, SCANS, empty_table, read_table, write_table
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    settings = job.settings(CropSettings)
    scans = read_table(job.input.scans, SCANS).set_index("scan_id")
    landmarks = read_table(job.input.landmarks, LANDMARKS)
    pixels = [np.empty((0, settings.slices, settings.size, settings.size), np.int16)]
    frames = [np.empty((0, settings.size, 3, 3))]
    tables = [empty_table(CROPS)]
    for scan_id, vertebrae in progress([*landmarks.groupby("scan_id", sort=True)], job.log, "scans"):
        volume = read_volume(f"{job.input.volumes}/{scan_id}_ct.nii.gz")
        thickness = float(scans.loc[scan_id, "slice_thickness_mm"])
        for parts, part in zip(
            (pixels, frames, tables), crop_scan(volume, vertebrae, settings, thickness), strict=True
        ):
            parts.append(part)
        job.log.info("%s: %d crops, %d evaluable", scan_id, len(tables[-1]), tables[-1]["evaluable"].sum())
    write_array(job.output.pixels, np.concatenate(pixels))
    write_array(job.output.frames, np.concatenate(frames))
    crops = pd.concat(tables, ignore_index=True)
    crops["crop"] = np.arange(len(crops))
    write_table(job.output.crops, crops, CROPS)
