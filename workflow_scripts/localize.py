"""Find the vertebrae of a shard's scans from the centroids or masks given with them."""

import pandas as pd

from vertegrade.cohort.sheet import ScanRow
from vertegrade.ct.reasons import Refused
from vertegrade.ct.volume import read_volume
from vertegrade.settings.spine import LocalizeSettings
from vertegrade.spine.landmarks import provided_landmarks
from vertegrade.stage import run_stage
from vertegrade.tables import LANDMARKS, SCANS, empty_table, read_table

with run_stage(snakemake) as job:
    settings = job.settings(LocalizeSettings)
    scans = read_table(job.input.scans, SCANS).set_index("scan_id", drop=False)
    tables = [empty_table(LANDMARKS)]
    for row in (ScanRow(**plain) for plain in job.params.rows):
        if scans.loc[row.scan_id, "state"] != "done":
            continue
        try:
            volume = read_volume(f"{job.input.volumes}/{row.scan_id}_ct.nii.gz")
            tables.append(provided_landmarks(row, volume, settings))
        except Refused as refusal:
            job.log.warning("%s: %s %s", row.scan_id, refusal.state, refusal.reason)
            scans.loc[row.scan_id, ["state", "reason", "message"]] = [refusal.state, refusal.reason, str(refusal)]
    job.write_table(job.output.landmarks, pd.concat(tables), LANDMARKS)
    job.write_table(job.output.states, scans, SCANS)
