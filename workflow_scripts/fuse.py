"""Put the DAE's latents and the indices of the six points of a shard side by side."""

from vertegrade.graders.fusion.latents import fused_latents
from vertegrade.tables import LATENTS, read_table, write_table
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    latents = fused_latents(read_table(job.input.dae, LATENTS), read_table(job.input.keypoints, LATENTS))
    job.log.info("%d vertebrae, %d of them with both latents", len(latents), latents["evaluable"].sum())
    write_table(job.output.latents, latents, LATENTS)
