"""Measure what six points give beside heights: trabecular HU, discs, slips and curves of a shard's scans."""

from pathlib import Path

from vertegrade.ct.volume import read_volume
from vertegrade.files import read_json
from vertegrade.spine.measures import spine_measures
from vertegrade.tables import LANDMARKS, SPINE_CURVES, SPINE_MEASURES, read_table, write_table
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    folder = Path(job.input.volumes)
    landmarks = read_table(job.input.landmarks, LANDMARKS)
    bodies, curves = spine_measures(
        landmarks,
        volume_of=lambda scan: read_volume(folder / f"{scan}_ct.nii.gz"),
        # a NIfTI has no header that could say it
        contrast_known=lambda scan: read_json(folder / f"{scan}_ct.json").get("ContrastBolusAgent") is not None,
    )
    job.log.info("%d vertebrae, %d with HU", len(bodies), bodies["trabecular_hu"].notna().sum())
    write_table(job.output.bodies, bodies, SPINE_MEASURES)
    write_table(job.output.curves, curves, SPINE_CURVES)
