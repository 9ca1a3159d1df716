"""Train a network on the grades of the training split; resumes by itself."""

from vertegrade.graders.supervised.training_job import SupervisedTrainingJob
from vertegrade.settings.supervised import SupervisedModelSettings, SupervisedTrainSettings
from vertegrade.training.launch import common_fields
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
        **common_fields(job),
    )
    training.start(job.resources, training.train.batch_size)
