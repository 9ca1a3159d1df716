"""Fit principal components of the training split's crops: the baseline of the DAE's latents."""

from vertegrade.graders.pca import fit_pca, save_pca
from vertegrade.graders.taught import crops_of_split
from vertegrade.settings.grading import PcaSettings
from vertegrade.tables import PATIENT_SPLITS, read_table
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    splits = read_table(job.input.splits, PATIENT_SPLITS)
    crops, _ = crops_of_split(job.input.crops, job.input.pixels, splits, "train")
    components = job.settings(PcaSettings).components
    save_pca(job.output.components, fit_pca(crops, components, tuple(job.params.window), job.seed))
