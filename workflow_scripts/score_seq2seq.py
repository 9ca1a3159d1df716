"""Grade probabilities of a shard's vertebrae and scans by the networks that read the whole spine."""

from vertegrade.arrays import read_array
from vertegrade.files import sha256_of
from vertegrade.graders.seq2seq.scoring import score_tables
from vertegrade.graders.seq2seq.weights import geometry_text, load_networks
from vertegrade.settings.seq2seq import StraightSpineSettings
from vertegrade.tables import LATENTS, SCAN_SCORES, SPINE_BODIES, STRAIGHT_SPINES, read_table, write_table
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    trained = load_networks(job.input.weights, job.device)
    scores, scans = score_tables(
        trained,
        read_array(job.input.array),
        read_table(job.input.spines, STRAIGHT_SPINES),
        read_table(job.input.bodies, SPINE_BODIES),
        geometry_text(job.settings(StraightSpineSettings).model_dump(), sha256_of(job.input.canal)),
        job.params.settings["grading.fracture_grade"],
    )
    write_table(job.output.scores, scores, LATENTS)
    write_table(job.output.scans, scans, SCAN_SCORES)
