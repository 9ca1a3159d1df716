"""Train the networks of the learned localizer on phantoms and, if asked for, the user's scans; resumes by itself."""

import json
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pandas as pd
import torch

from vertegrade.annotations.mosmed import AXIAL
from vertegrade.cohort.sheet import ScanRow
from vertegrade.cohort.sources import read_labels
from vertegrade.cohort.splits import assign_splits, in_split, merge_given_splits
from vertegrade.ct.nifti_file import NIFTI_NAME
from vertegrade.ct.volume import Volume, read_volume
from vertegrade.files import sha256_of, write_json
from vertegrade.localizer.own_scans import own_scan
from vertegrade.localizer.samples import make_samples
from vertegrade.localizer.sight.against_image import check_against_image
from vertegrade.localizer.sight.see import Sight, load_sight
from vertegrade.localizer.train import train_localizer
from vertegrade.phantom.training_scan import learning_scan
from vertegrade.settings.cohort import SplitSettings
from vertegrade.settings.localizer import LocalizerTrainSettings
from vertegrade.settings.spine import LocalizeSettings
from vertegrade.tables import SCANS, read_tables
from vertegrade.training.states import States, locked
from vertegrade.workflow.code_hash import packages_of
from vertegrade.workflow.job import Job, run_job


def own_scans(job: Job) -> dict[str, tuple[ScanRow, Path, str]]:
    """Row, volume and pixel axes of converted scans with an annotation, of patients of the training split, by scan."""
    if not job.params.own:
        return {}
    scans = read_tables(job.input.scans, SCANS)
    official = read_labels(job.input.official).given_splits if job.input.official else {}
    given = merge_given_splits(scans["patient_id"], job.params.given, official)
    splits = assign_splits(given, job.settings(SplitSettings))
    wanted = set(scans["scan_id"][(scans["state"] == "done") & in_split(splits, scans["patient_id"], "train")])
    rows = [(ScanRow(**own["row"]), Path(own["volume"])) for own in job.params.own]
    return {row.scan_id: (row, volume, pixel_axes(row, volume)) for row, volume in rows if row.scan_id in wanted}


def pixel_axes(row: ScanRow, volume: Path) -> str:
    """Where columns and rows of a scan's pixel arrays run; a NIfTI does not say how those of its DICOM files lay."""
    if NIFTI_NAME.search(row.path):
        return AXIAL
    sidecar = json.loads(volume.with_name(f"{row.scan_id}_ct.json").read_text(encoding="utf-8"))
    return str(sidecar["source_axcodes"][:2])


def read_own(
    row: ScanRow, volume: Path, axcodes: str, sight: Sight, localize: LocalizeSettings
) -> tuple[Volume, pd.DataFrame]:
    """A scan of the user, cut to the bodies that its annotation knows; Refused where the image contradicts them."""
    kind, annotation = row.annotation()
    scan = read_volume(volume)
    cut, bodies = own_scan(row, scan, axcodes, localize)
    check_against_image(bodies.assign(source=kind, reason=""), scan, sight, annotation)
    return cut, bodies


with run_job(snakemake) as job, ExitStack() as stack:
    torch.set_num_threads(job.threads)
    settings, localize = job.settings(LocalizerTrainSettings), job.settings(LocalizeSettings)
    own = own_scans(job)
    given = {
        scan: [sha256_of(volume), *row.annotation()[:1], sha256_of(row.annotation()[1]), axcodes]
        for scan, (row, volume, axcodes) in own.items()
    }
    if own:  # which of them are learnt from
        given["sight.safetensors"] = [sha256_of(job.input.sight)]
        given["mask_labels"] = [localize.mask_labels]
    states = States(folder=job.params.state_dir, code=job.params.code, packages=packages_of(job.rule))
    state = states.of(settings=settings.model_dump(), seed=job.seed, device=job.device, inputs=given)
    job.log.info("%d phantom scans and %d of the cohort; state in %s", settings.scans, len(own), state)
    stack.enter_context(locked(state))
    # The user's first: what is wrong with an annotation is then said at once.
    sight = load_sight(job.input.sight) if own else None
    mine = {f"scan-{scan}": partial(read_own, *of, sight, localize) for scan, of in own.items()}
    used = make_samples(state / "samples", mine, job.seed)
    phantoms = {f"phantom-{n:05d}": partial(learning_scan, job.seed, n) for n in range(settings.scans)}
    make_samples(state / "samples", phantoms, job.seed)
    counts = {"phantom_scans": settings.scans, "own_scans": used, "own_scans_left_out": len(own) - used}
    metrics = train_localizer(
        state / "samples",
        state,
        Path(job.output.centreline),
        Path(job.output.vertebrae),
        settings,
        job.seed,
        job.device,
        facts={"seed": str(job.seed)} | {name: str(count) for name, count in counts.items()},
    )
    write_json(job.output.metrics, metrics | counts)
    states.keep_only(state)
