"""Train the diffusion autoencoder on the unlabelled crops of the training split; resumes by itself."""

import hashlib
import json
from pathlib import Path

from vertegrade.cohort.splits import in_split
from vertegrade.dae.training import train_dae
from vertegrade.files import read_array, write_json
from vertegrade.settings.dae import DaeModelSettings, DaeTrainSettings
from vertegrade.stage import run_stage
from vertegrade.tables import CROPS, PATIENT_SPLITS, read_table

with run_stage(snakemake) as job:
    splits = read_table(job.input.splits, PATIENT_SPLITS)
    pixels, patients = [], set()
    for crops_file, pixels_file in zip(job.input.crops, job.input.pixels, strict=True):
        crops = read_table(crops_file, CROPS)
        wanted = crops["evaluable"] & in_split(splits, crops["patient_id"], "train")
        pixels.append(read_array(pixels_file)[crops.loc[wanted, "crop"].to_numpy()])
        patients.update(crops.loc[wanted, "patient_id"])
    facts = {
        "training_patients_sha256": hashlib.sha256("\n".join(sorted(patients)).encode()).hexdigest(),
        "crop": json.dumps(job.params.settings["crop"], sort_keys=True),
    }
    metrics = train_dae(
        pixels,
        job.settings(DaeModelSettings),
        job.settings(DaeTrainSettings),
        state_dir=Path(job.params.state_dir),
        weights=Path(job.output.weights),
        seed=job.seed,
        device=job.device,
        threads=job.threads,
        facts=facts,
    )
    write_json(job.output.metrics, metrics | {"patients": len(patients)})
