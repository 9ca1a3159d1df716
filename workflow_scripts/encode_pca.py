"""Project every crop on the principal components of the training split: the baseline of the DAE's latents."""

import numpy as np
import pandas as pd

from vertegrade.arrays import read_array
from vertegrade.cohort.splits import in_split
from vertegrade.graders.pca import encode_pca, fit_pca, save_pca
from vertegrade.settings.grading import PcaSettings
from vertegrade.tables import CROPS, LATENTS, PATIENT_SPLITS, read_table, write_table
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    splits = read_table(job.input.splits, PATIENT_SPLITS)
    tables = [read_table(path, CROPS) for path in job.input.crops]
    arrays = [read_array(path) for path in job.input.pixels]
    training = []
    for crops, pixels in zip(tables, arrays, strict=True):
        wanted = crops["evaluable"] & in_split(splits, crops["patient_id"], "train")
        training.append(pixels[crops.loc[wanted, "crop"].to_numpy()])
    settings = job.settings(PcaSettings)
    pca = fit_pca(np.concatenate(training), settings.components, tuple(job.params.window), job.seed)
    save_pca(job.output.components, pca)
    latents = [
        encode_pca(job.output.components, pixels, crops)
        for crops, pixels in zip(tables, arrays, strict=True)
        if len(crops)
    ]
    write_table(job.output.latents, pd.concat(latents), LATENTS)
