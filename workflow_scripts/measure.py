"""Measure the vertebrae of a shard from their six points: heights, Genant's indices, and these as latents."""

from vertegrade.graders.keypoints.latents import keypoint_latents
from vertegrade.spine.indices import measure
from vertegrade.spine.intact_heights import read_intact_heights
from vertegrade.tables import LANDMARKS, LATENTS, MEASUREMENTS, read_table, write_table
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    expected = read_intact_heights(job.input.heights)
    measurements = measure(read_table(job.input.landmarks, LANDMARKS), expected)
    job.log.info("%d vertebrae, %d measured", len(measurements), measurements["evaluable"].sum())
    write_table(job.output.measurements, measurements, MEASUREMENTS)
    latents = keypoint_latents(measurements, job.params.points_from, expected.sha256)
    write_table(job.output.latents, latents, LATENTS)
