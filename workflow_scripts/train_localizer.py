"""Train the networks of the learned localizer on phantoms and, if asked for, the user's masks; resumes by itself."""

import hashlib
import json
from functools import partial
from pathlib import Path

import torch

from vertegrade.cohort.sources import read_labels
from vertegrade.cohort.splits import assign_splits, in_split, merge_given_splits
from vertegrade.ct.volume import Volume, read_volume
from vertegrade.files import sha256_of, write_json
from vertegrade.localizer.own_scans import own_scan
from vertegrade.localizer.samples import make_samples
from vertegrade.localizer.train import train_localizer
from vertegrade.phantom.training_scan import learning_scan
from vertegrade.settings.cohort import SplitSettings
from vertegrade.settings.localizer import LocalizerTrainSettings
from vertegrade.stage import Stage, run_stage
from vertegrade.tables import SCANS, read_tables


def masked_scans(job: Stage) -> dict[str, dict[str, str]]:
    """Rows of converted scans with a mask whose patients belong to the training split, by scan."""
    if not job.params.masked:
        return {}
    scans = read_tables(job.input.scans, SCANS)
    official = read_labels(job.input.official).given_splits if job.input.official else {}
    given = merge_given_splits(scans["patient_id"], job.params.given, official)
    splits = assign_splits(given, job.settings(SplitSettings))
    wanted = scans[(scans["state"] == "done") & in_split(splits, scans["patient_id"], "train")]
    rows = {row["scan_id"]: row for row in job.params.masked}
    return {scan: rows[scan] for scan in sorted(wanted["scan_id"]) if scan in rows}


def read_own(row: dict[str, str]) -> tuple[Volume, object]:
    """A scan of the user with the bodies of its mask."""
    return own_scan(read_volume(row["volume"]), row["mask"])


with run_stage(snakemake) as job:
    torch.set_num_threads(job.threads)
    settings = job.settings(LocalizerTrainSettings)
    own = masked_scans(job)
    own_sha256 = {scan: [sha256_of(row["volume"]), sha256_of(row["mask"])] for scan, row in own.items()}
    key = {"settings": settings.model_dump(), "seed": job.seed, "own": own_sha256, "code": job.params.code}
    state = Path(job.params.state_dir) / hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    job.log.info("%d phantom scans and %d of the cohort; state in %s", settings.scans, len(own), state)
    scans = {f"phantom-{n:05d}": partial(learning_scan, job.seed, n) for n in range(settings.scans)}
    scans |= {f"scan-{scan}": partial(read_own, row) for scan, row in own.items()}
    make_samples(state / "samples", scans, job.seed)
    metrics = train_localizer(
        state / "samples",
        state,
        Path(job.output.centreline),
        Path(job.output.vertebrae),
        settings,
        job.seed,
        job.device,
        facts={"seed": str(job.seed), "phantom_scans": str(settings.scans), "own_scans": str(len(own))},
    )
    write_json(job.output.metrics, metrics | {"phantom_scans": settings.scans, "own_scans": len(own)})
