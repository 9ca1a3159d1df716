"""Encode every crop of a shard into the semantic latent space."""

from vertegrade.arrays import read_array
from vertegrade.graders.dae.latents import dae_latents
from vertegrade.graders.dae.weights import load_dae
from vertegrade.settings.dae import DaeEncodeSettings
from vertegrade.tables import CROPS, LATENTS, read_table, write_table
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    dae = load_dae(job.input.weights, job.device)
    crops, pixels = read_table(job.input.crops, CROPS), read_array(job.input.pixels)
    write_table(
        job.output.latents, dae_latents(dae, crops, pixels, job.settings(DaeEncodeSettings).batch_size), LATENTS
    )
