"""Cut 3D patches of fixed millimetres, straightened as the crops are, from a shard's scans."""

import pandas as pd

from vertegrade.arrays import array_in_parts
from vertegrade.ct.volume import read_volume
from vertegrade.patches.cut import cut_patches, patch_shape
from vertegrade.progress import progress
from vertegrade.settings import CropSettings
from vertegrade.settings.patches import PatchSettings
from vertegrade.spine.crop import head_to_feet
from vertegrade.tables import CROPS, LANDMARKS, read_table, write_table
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    settings, crop = job.settings(PatchSettings), job.settings(CropSettings)
    crops, landmarks = read_table(job.input.crops, CROPS), read_table(job.input.landmarks, LANDMARKS)
    tables = [crops[:0]]
    with array_in_parts(job.output.voxels, (len(crops), *patch_shape(settings)), "int16") as voxels:
        for scan_id, table in progress([*crops.groupby("scan_id", sort=False)], job.log, "scans"):
            volume = read_volume(f"{job.input.volumes}/{scan_id}_ct.nii.gz")
            found = head_to_feet(landmarks[landmarks["scan_id"] == scan_id])
            patches, shares = cut_patches(volume, found, table, crop, settings)
            voxels.write(patches)
            tables.append(table.assign(inside_fraction=shares))
            job.log.info("%s: %d patches, %d evaluable", scan_id, len(table), table["evaluable"].sum())
    write_table(job.output.patches, pd.concat(tables), CROPS)
