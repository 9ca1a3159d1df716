"""Train the diffusion autoencoder on the unlabelled crops of the training split; resumes by itself."""

from vertegrade.graders.dae.training_job import DaeTrainingJob
from vertegrade.settings.dae import DaeModelSettings, DaeTrainSettings
from vertegrade.training.launch import common_fields
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    training = DaeTrainingJob(
        crops=list(job.input.crops),
        pixels=list(job.input.pixels),
        splits=job.input.splits,
        crop_settings=job.params.settings["crop"],
        model=job.settings(DaeModelSettings),
        train=job.settings(DaeTrainSettings),
        **common_fields(job),
    )
    training.start(job.resources, training.train.batch_size)
