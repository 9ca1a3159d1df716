"""Train a 3D network on grades by cross-entropy and a contrastive loss; resumes by itself."""

from vertegrade.graders.supcon.training_job import SupconTrainingJob
from vertegrade.settings.supcon import SupconModelSettings, SupconTrainSettings
from vertegrade.training.launch import common_fields
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    training = SupconTrainingJob(
        tables=list(job.input.tables),
        arrays=list(job.input.arrays),
        labels=list(job.input.labels),
        splits=job.input.splits,
        geometry=job.params.geometry,
        model=job.settings(SupconModelSettings),
        fracture_grade=job.params.settings["grading.fracture_grade"],
        train=job.settings(SupconTrainSettings),
        **common_fields(job),
    )
    training.start(job.resources, training.train.batch_size)
