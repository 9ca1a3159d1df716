"""Crops of intact training vertebrae, as they are and collapsed in place, of a shard's scans."""

import numpy as np
import pandas as pd

from vertegrade.arrays import generator_of, read_array, write_array
from vertegrade.cohort.splits import split_of
from vertegrade.ct.volume import read_volume
from vertegrade.drawn_tables import COLLAPSED_CROPS, LOSSES
from vertegrade.progress import progress
from vertegrade.settings.dae import CounterfactualSettings
from vertegrade.settings.spine import CropSettings
from vertegrade.tables import (
    CROPS,
    LANDMARKS,
    MEASUREMENTS,
    PATIENT_SPLITS,
    SCANS,
    empty_table,
    read_table,
    write_table,
)
from vertegrade.virtual_fractures.crops import collapsed_crops
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    settings = job.settings(CropSettings)
    most = job.settings(CounterfactualSettings).pairs
    splits = read_table(job.input.splits, PATIENT_SPLITS)
    scans = read_table(job.input.scans, SCANS).set_index("scan_id")
    landmarks = read_table(job.input.landmarks, LANDMARKS)
    measurements = read_table(job.input.measurements, MEASUREMENTS)
    crops = read_table(job.input.crops, CROPS)
    frames = read_array(job.input.frames)
    pixels = [np.empty((0, settings.slices, settings.size, settings.size), np.int16)]
    rows = []
    for scan_id, found in progress([*landmarks.groupby("scan_id", sort=True)], job.log, "scans"):
        patient = str(found["patient_id"].iloc[0])
        of_scan = crops[(crops["scan_id"] == scan_id) & crops["evaluable"]]
        if split_of(splits, [patient]) != ["train"] or of_scan.empty:
            continue
        made = collapsed_crops(
            generator_of(f"{job.seed}/collapsed/{scan_id}"),
            read_volume(f"{job.input.volumes}/{scan_id}_ct.nii.gz"),
            found,
            measurements[measurements["scan_id"] == scan_id],
            {row.vertebra: frames[row.crop] for row in of_scan.itertuples()},
            settings,
            float(scans.loc[scan_id, "slice_thickness_mm"]),
            most,
        )
        for crop in made:
            losses = dict(zip(LOSSES, crop.loss, strict=True))
            of = {"patient_id": patient, "scan_id": scan_id, "vertebra": crop.vertebra, "crop": len(rows)}
            rows.append(of | {"shape": crop.shape} | losses)
            pixels.append(crop.pixels[None])
        job.log.info("%s: %d crops", scan_id, len(made))
    write_array(job.output.pixels, np.concatenate(pixels))
    table = pd.DataFrame(rows) if rows else empty_table(COLLAPSED_CROPS)
    write_table(job.output.crops, table, COLLAPSED_CROPS)
