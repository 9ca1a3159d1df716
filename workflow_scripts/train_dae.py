"""Train the diffusion autoencoder on the unlabelled crops of the training split; resumes by itself."""

from vertegrade.gpus import gpus_asked_for
from vertegrade.graders.dae.training_job import TrainingJob
from vertegrade.settings.dae import DaeModelSettings, DaeTrainSettings
from vertegrade.training.checkpoints import States
from vertegrade.workflow.code_hash import packages_of
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    training = TrainingJob(
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
    processes, kind = gpus_asked_for(job.resources)
    if processes > 1:
        training.run_together(processes, job.resources.get("nodes", 1), kind)
    else:
        training.run()
