"""Fit principal components of the training split's crops: the baseline of the DAE's latents."""

import numpy as np

from vertegrade.arrays import read_array
from vertegrade.cohort.splits import in_split
from vertegrade.graders.pca import fit_pca, save_pca
from vertegrade.settings.grading import PcaSettings
from vertegrade.tables import CROPS, PATIENT_SPLITS, read_table
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    splits = read_table(job.input.splits, PATIENT_SPLITS)
    training = []
    for crops_file, pixels in zip(job.input.crops, job.input.pixels, strict=True):
        crops = read_table(crops_file, CROPS)
        wanted = crops["evaluable"] & in_split(splits, crops["patient_id"], "train")
        training.append(read_array(pixels)[crops.loc[wanted, "crop"].to_numpy()])
    components = job.settings(PcaSettings).components
    save_pca(job.output.components, fit_pca(np.concatenate(training), components, tuple(job.params.window), job.seed))
