"""What a shard's crops look like, whatever they show: brightness, sharpness, noise."""

from vertegrade.arrays import read_array
from vertegrade.grading.appearance import appearance_table
from vertegrade.tables import APPEARANCE, CROPS, read_table, write_table
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    table = appearance_table(read_table(job.input.crops, CROPS), read_array(job.input.pixels))
    write_table(job.output.appearance, table, APPEARANCE)
