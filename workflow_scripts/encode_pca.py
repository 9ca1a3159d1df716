"""Project every crop of a shard on the principal components of the training split."""

from vertegrade.arrays import read_array
from vertegrade.graders.pca import encode_pca
from vertegrade.tables import CROPS, LATENTS, read_table, write_table
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    latents = encode_pca(job.input.components, read_array(job.input.pixels), read_table(job.input.crops, CROPS))
    write_table(job.output.latents, latents, LATENTS)
