"""Measure both networks of bone quality against the known lesions, with intervals by bootstrap over patients."""

import pandas as pd

from vertegrade.evaluation.bone_quality import bone_metrics, metrics_table
from vertegrade.files import write_json
from vertegrade.metastasis.classes import NETWORKS
from vertegrade.metastasis.tables import BONE_LABELS, BONE_PREDICTIONS, BONE_SLICE_PREDICTIONS, BONE_SLICES
from vertegrade.settings.evaluation import EvaluationSettings
from vertegrade.settings.metastasis import MetastasisSettings
from vertegrade.tables import read_table, read_tables, write_frame
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    metrics = bone_metrics(
        read_tables(job.input.labels, BONE_LABELS),
        pd.concat([read_table(path, BONE_SLICES) for path in job.input.known], ignore_index=True),
        {name: read_table(path, BONE_PREDICTIONS) for name, path in zip(NETWORKS, job.input.predictions, strict=True)},
        {name: read_table(path, BONE_SLICE_PREDICTIONS) for name, path in zip(NETWORKS, job.input.slices, strict=True)},
        job.settings(EvaluationSettings),
        job.settings(MetastasisSettings).specificity,
        job.seed,
    )
    write_json(job.output.metrics, metrics, sort_keys=False)
    write_frame(job.output.table, metrics_table(metrics))
