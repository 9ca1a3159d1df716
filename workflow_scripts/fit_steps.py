"""Learn what z_sem changes by when a vertebra loses height, from crops before and after a collapse in place."""

from pathlib import Path

import numpy as np

from vertegrade.arrays import read_array
from vertegrade.drawn_tables import COLLAPSED_CROPS, LOSSES
from vertegrade.graders.dae.encoding import encode
from vertegrade.graders.dae.steps import fit_steps
from vertegrade.graders.dae.weights import load_dae
from vertegrade.settings.dae import DaeEncodeSettings
from vertegrade.tables import read_table
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    dae = load_dae(job.input.weights, job.device)
    tables = [read_table(path, COLLAPSED_CROPS) for path in job.input.crops]
    pixels = [read_array(path) for path in job.input.pixels]  # row for row those of the tables
    z = encode(dae, pixels, job.settings(DaeEncodeSettings).batch_size).astype(np.float64)
    columns = ["patient_id", "scan_id", "vertebra", *LOSSES]
    rows = np.concatenate([table[columns].to_numpy(object) for table in tables])
    names = [f"{scan}/{vertebra}" for scan, vertebra in rows[:, 1:3]]
    vertebra = np.unique(names, return_inverse=True)[1].astype(np.int64)
    steps = fit_steps(z, rows[:, 3:].astype(np.float64), vertebra, rows[:, 0].astype(str), dae.sha256)
    job.log.info("%d vertebrae of %d patients, explained %s", steps.vertebrae, steps.patients, steps.explained)
    steps.write(Path(job.output.steps))
