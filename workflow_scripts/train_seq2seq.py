"""Train networks that read the whole spine as a sequence of patches; resumes by itself."""

from vertegrade.graders.seq2seq.training_job import Seq2seqTrainingJob
from vertegrade.settings.seq2seq import Seq2seqModelSettings, Seq2seqTrainSettings, StraightSpineSettings
from vertegrade.training.launch import common_fields
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    training = Seq2seqTrainingJob(
        arrays=list(job.input.arrays),
        spines=list(job.input.spines),
        bodies=list(job.input.bodies),
        canal=job.input.canal,
        labels=list(job.input.labels),
        splits=job.input.splits,
        spine=job.settings(StraightSpineSettings),
        model=job.settings(Seq2seqModelSettings),
        train=job.settings(Seq2seqTrainSettings),
        fracture_grade=job.params.settings["grading.fracture_grade"],
        **common_fields(job),
    )
    training.start(job.resources, training.train.batch_size)
