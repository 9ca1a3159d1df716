"""Collapse vertebrae of a shard's scans in the volume: scans with VIRTUAL fractures and shams, and their truth."""

import numpy as np
import pandas as pd

from vertegrade.cohort.sheet import ScanRow
from vertegrade.ct.volume import read_volume, write_volume
from vertegrade.drawn_tables import VIRTUAL_TRUTH
from vertegrade.files import new_folder
from vertegrade.progress import progress
from vertegrade.reasons import Refused
from vertegrade.tables import LANDMARKS, MEASUREMENTS, PATIENT_SPLITS, SCANS, empty_table, read_table, write_table
from vertegrade.virtual_fractures.make import require_tested, virtual_scan
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    scans = read_table(job.input.scans, SCANS).set_index("scan_id", drop=False)
    landmarks = read_table(job.input.landmarks, LANDMARKS)
    measurements = read_table(job.input.measurements, MEASUREMENTS)
    # Virtual fractures that teach are made for all patients, those of the challenge alone only for the tested ones.
    splits = read_table(job.input.splits, PATIENT_SPLITS) if job.input.splits else None
    states, truths = [], [empty_table(VIRTUAL_TRUTH)]
    with new_folder(job.output.volumes) as folder:
        for row in progress([ScanRow(**plain) for plain in job.params.rows], job.log, "scans"):
            source = row.path  # the scan that it is made of
            state = scans.loc[source].to_dict() | {"scan_id": row.scan_id, "image_sha256": ""}
            states.append(state)
            if state["state"] != "done":
                continue
            mine = [table[table["scan_id"] == source] for table in (landmarks, measurements)]
            thickness = float(np.nanmax([state["slice_thickness_mm"], state["slice_spacing_mm"]]))
            try:
                if splits is not None:
                    require_tested(splits, row.patient_id, source)
                volume = read_volume(f"{job.input.volumes}/{source}_ct.nii.gz")
                made, truth = virtual_scan(volume, *mine, row.scan_id, thickness, job.seed)
            except Refused as refusal:
                job.log.warning("%s: %s %s", row.scan_id, refusal.state, refusal.reason)
                state |= {"state": refusal.state, "reason": refusal.reason, "message": str(refusal)}
                continue
            write_volume(folder / f"{row.scan_id}_ct.nii.gz", made, "VIRTUAL FRACTURES, not a patient's own scan")
            state["image_sha256"] = made.sha256
            truths.append(truth)
            job.log.info("%s: %s", row.scan_id, truth["kind"].value_counts().to_dict())
    write_table(job.output.truth, pd.concat(truths), VIRTUAL_TRUTH)
    write_table(job.output.scans, pd.DataFrame(states) if states else empty_table(SCANS), SCANS)
