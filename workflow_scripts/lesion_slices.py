"""Cut the vertebrae of a shard's scans into axial slices, with what is known of their lesions."""

from pathlib import Path

from vertegrade.arrays import write_array
from vertegrade.cohort.sheet import ScanRow
from vertegrade.metastasis.layout.clinical import read_clinical
from vertegrade.metastasis.shard import Source, pack_shard
from vertegrade.metastasis.tables import BONE_LABELS, BONE_SLICES, LESION_TRUTH
from vertegrade.settings.cohort import SplitSettings
from vertegrade.settings.metastasis import BoneSliceSettings
from vertegrade.tables import SCANS, read_table, write_table
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    if job.input.truth:
        drawn = read_table(job.input.truth, LESION_TRUTH).to_dict("records")
        truth = {(row["scan_id"], row["vertebra"]): row for row in drawn}
        source = Source(truth, Path(job.input.codes))
    else:
        source = Source(cases=read_clinical(job.input.clinical))
    packed = pack_shard(
        [ScanRow(**plain) for plain in job.params.rows],
        Path(job.input.volumes),
        read_table(job.input.scans, SCANS),
        source,
        job.settings(BoneSliceSettings),
        job.settings(SplitSettings),
    )
    write_array(job.output.slices, packed.slices)
    write_table(job.output.labels, packed.labels, BONE_LABELS)
    write_table(job.output.known, packed.known, BONE_SLICES)
    write_table(job.output.scans, packed.scans, SCANS)
