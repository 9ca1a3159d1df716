"""Train the network of two tasks, or its baseline, on vertebrae with known lesions; resumes by itself."""

from vertegrade.gpus import gpus_asked_for
from vertegrade.metastasis.classes import BASELINE
from vertegrade.metastasis.network.learning import PLAIN
from vertegrade.metastasis.network.model import shape_of
from vertegrade.metastasis.network.training_job import BoneTrainingJob
from vertegrade.settings.metastasis import MetastasisSettings
from vertegrade.training.launch import common_fields
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    settings, network = job.settings(MetastasisSettings), job.wildcards.network
    if (asked := gpus_asked_for(job.resources)[0]) > 1:
        raise ValueError(f"train_bone_quality asks for {asked} GPUs and learns on one: set its resource gpu to 1")
    plain = PLAIN | {"steps": settings.baseline_steps}
    BoneTrainingJob(
        labels=list(job.input.labels),
        known=list(job.input.known),
        slices=list(job.input.slices),
        shape=shape_of(network, settings),
        train=settings.train.model_copy(update=plain if network == BASELINE else {}),
        **common_fields(job),
    ).run()
