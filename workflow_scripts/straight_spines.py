"""Straighten the spines of a shard's scans along their spinal canals, for the sequence model."""

from vertegrade.arrays import write_array
from vertegrade.ct.volume import read_volume
from vertegrade.graders.seq2seq.straighten import straight_spines
from vertegrade.localizer.canal.find import load_canal
from vertegrade.settings.seq2seq import StraightSpineSettings
from vertegrade.tables import CROPS, LANDMARKS, SCANS, SPINE_BODIES, STRAIGHT_SPINES, read_table, write_table
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    voxels, spines, bodies = straight_spines(
        read_table(job.input.scans, SCANS),
        read_table(job.input.crops, CROPS),
        read_table(job.input.landmarks, LANDMARKS),
        lambda scan_id: read_volume(f"{job.input.volumes}/{scan_id}_ct.nii.gz"),
        load_canal(job.input.canal, job.device),
        job.device,
        job.settings(StraightSpineSettings),
    )
    write_array(job.output.voxels, voxels)
    write_table(job.output.spines, spines, STRAIGHT_SPINES)
    write_table(job.output.bodies, bodies, SPINE_BODIES)
