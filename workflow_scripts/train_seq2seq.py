"""Train networks that read the whole spine as a sequence of patches; resumes by itself."""

from vertegrade.graders.seq2seq.training_job import Seq2seqTrainingJob
from vertegrade.settings.seq2seq import Seq2seqModelSettings, Seq2seqTrainSettings, StraightSpineSettings
from vertegrade.training.states import States
from vertegrade.workflow.code_hash import packages_of
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
        states=States(folder=job.params.state_dir, code=job.params.code, packages=packages_of(job.rule)),
        weights=job.output.weights,
        metrics=job.output.metrics,
        log=job.log_file,
        seed=job.seed,
        device=job.device,
        threads=job.threads,
    )
    training.start(job.resources, training.train.batch_size)
