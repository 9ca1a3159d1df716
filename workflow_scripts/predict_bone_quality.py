"""Let a trained network answer for every vertebra and slice."""

import torch

from vertegrade.metastasis.network.predict import predict
from vertegrade.metastasis.network.vertebrae import read_vertebrae
from vertegrade.metastasis.network.weights import load_network
from vertegrade.metastasis.tables import BONE_PREDICTIONS, BONE_SLICE_PREDICTIONS
from vertegrade.tables import write_table
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    torch.set_num_threads(job.threads)
    vertebrae = read_vertebrae(job.input.labels, job.input.known, job.input.slices)
    network = load_network(job.input.weights, job.device)
    whole, slices = predict(network, job.wildcards.network, vertebrae, job.device)
    write_table(job.output.predictions, whole, BONE_PREDICTIONS)
    write_table(job.output.slices, slices, BONE_SLICE_PREDICTIONS)
    job.log.info("%d vertebrae, %d slices", len(whole), len(slices))
