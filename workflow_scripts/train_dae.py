"""Train the diffusion autoencoder on the unlabelled crops of the training split; resumes by itself."""

from vertegrade.graders.dae.training_job import DaeTrainingJob
from vertegrade.settings.dae import DaeModelSettings, DaeTrainSettings
from vertegrade.training.states import States
from vertegrade.workflow.code_hash import packages_of
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    training = DaeTrainingJob(
        crops=list(job.input.crops),
        pixels=list(job.input.pixels),
        splits=job.input.splits,
        crop_settings=job.params.settings["crop"],
        model=job.settings(DaeModelSettings),
        train=job.settings(DaeTrainSettings),
        states=States(folder=job.params.state_dir, code=job.params.code, packages=packages_of(job.rule)),
        weights=job.output.weights,
        metrics=job.output.metrics,
        log=job.log_file,
        seed=job.seed,
        device=job.device,
        threads=job.threads,
    )
    training.start(job.resources, training.train.batch_size)
