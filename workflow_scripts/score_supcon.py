"""Grade probabilities of a shard's vertebrae by the contrastively trained network."""

from vertegrade.arrays import read_array
from vertegrade.graders.classifiers.scoring import score_table
from vertegrade.graders.classifiers.training_job import geometry_text
from vertegrade.graders.classifiers.weights import load_classifier
from vertegrade.graders.supcon.network import rebuild
from vertegrade.tables import CROPS, LATENTS, read_table, write_table
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    trained = load_classifier(job.input.weights, "supcon", rebuild, job.device)
    crops, images = read_table(job.input.table, CROPS), read_array(job.input.array)
    scores = score_table(trained, crops, images, geometry_text(job.params.geometry))
    write_table(job.output.scores, scores, LATENTS)
