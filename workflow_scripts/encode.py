"""Encode every crop of a shard into the semantic latent space."""

from vertegrade.arrays import read_array
from vertegrade.graders.dae.encoding import encode
from vertegrade.graders.dae.weights import load_dae
from vertegrade.settings.dae import DaeEncodeSettings
from vertegrade.tables import CROPS, LATENTS, read_table, write_table
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    crops = read_table(job.input.crops, CROPS)
    dae = load_dae(job.input.weights, job.device)
    z = encode(dae, [read_array(job.input.pixels)], job.settings(DaeEncodeSettings).batch_size)
    latents = crops.assign(model_sha256=dae.sha256, z=list(z))
    write_table(job.output.latents, latents[[name for name in LATENTS.columns if name in latents]], LATENTS)
