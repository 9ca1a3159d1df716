"""Train a network on the grades of the training split; resumes by itself."""

from vertegrade.graders.supervised.training_job import SupervisedTrainingJob
from vertegrade.settings.supervised import SupervisedModelSettings, SupervisedTrainSettings
from vertegrade.training.states import States
from vertegrade.workflow.code_hash import packages_of
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    training = SupervisedTrainingJob(
        tables=list(job.input.tables),
        arrays=list(job.input.arrays),
        labels=list(job.input.labels),
        splits=job.input.splits,
        geometry=job.params.geometry,
        model=job.settings(SupervisedModelSettings),
        train=job.settings(SupervisedTrainSettings),
        states=States(folder=job.params.state_dir, code=job.params.code, packages=packages_of(job.rule)),
        weights=job.output.weights,
        metrics=job.output.metrics,
        log=job.log_file,
        seed=job.seed,
        device=job.device,
        threads=job.threads,
    )
    training.start(job.resources, training.train.batch_size)
