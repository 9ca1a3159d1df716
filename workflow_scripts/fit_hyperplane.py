"""Fit the binary fracture classifier on the latents of the training split."""

from vertegrade.files import write_json
from vertegrade.grading.hyperplane import fit_hyperplane
from vertegrade.settings.grading import GradingSettings
from vertegrade.tables import LABELS, LATENTS, PATIENT_SPLITS, read_table, read_tables
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    hyperplane = fit_hyperplane(
        read_tables(job.input.latents, LATENTS),
        read_tables(job.input.labels, LABELS),
        read_table(job.input.splits, PATIENT_SPLITS),
        job.settings(GradingSettings),
        job.seed,
    )
    job.log.info("C %g, cross-validated AUC %.3f", hyperplane.C, hyperplane.auc_cv)
    if hyperplane.at_the_end():
        job.log.warning("C is the last that was tried: the best may lie beyond; are the labels right?")
    write_json(job.output.hyperplane, hyperplane.to_dict())
