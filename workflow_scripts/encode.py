"""Encode every crop of a shard into the semantic latent space."""

from vertegrade.dae.encoding import encode
from vertegrade.dae.weights import load_dae
from vertegrade.files import read_array
from vertegrade.settings.dae import DaeEncodeSettings
from vertegrade.stage import run_stage
from vertegrade.tables import CROPS, LATENTS, read_table

with run_stage(snakemake) as job:
    crops = read_table(job.input.crops, CROPS)
    dae = load_dae(job.input.weights, job.device)
    z = encode(dae, [read_array(job.input.pixels)], job.settings(DaeEncodeSettings).batch_size)
    latents = crops.assign(model_sha256=dae.sha256, z=list(z))
    job.write_table(job.output.latents, latents[[name for name in LATENTS.columns if name in latents]], LATENTS)
