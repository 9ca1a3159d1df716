"""Find the vertebrae of a shard's scans by the learned networks, a tool, or what is given with the scans."""

from pathlib import Path

import pandas as pd

from vertegrade.annotations.overrides import read_overrides
from vertegrade.cohort.qc import take_mark
from vertegrade.cohort.sheet import ScanRow
from vertegrade.ct.volume import read_volume
from vertegrade.drawn_tables import VIRTUAL_TRUTH
from vertegrade.localizer.scan import finder, localize_scan
from vertegrade.localizer.sight.see import load_sight
from vertegrade.progress import progress
from vertegrade.reasons import Notes, Refused
from vertegrade.settings.spine import LocalizeSettings
from vertegrade.spine.doubt import with_flags
from vertegrade.tables import LANDMARKS, SCANS, empty_table, read_table, write_table
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    settings = job.settings(LocalizeSettings)
    overrides = read_overrides(settings.overrides)
    scans = read_table(job.input.scans, SCANS).set_index("scan_id", drop=False)
    sight = load_sight(job.input.sight)
    weights = Path(job.input.found_by[0]).parent if settings.method == "learned" else None
    provided = settings.method == "provided"
    moved = provided and job.rule == "localize_virtual"
    truth = read_table(job.input.found_by[0], VIRTUAL_TRUTH) if moved else None
    find = finder(settings, weights, "cpu" if provided else job.device, truth)
    tables = [with_flags(empty_table(LANDMARKS))]
    for row in progress([ScanRow(**plain) for plain in job.params.rows], job.log, "scans"):
        if scans.loc[row.scan_id, "state"] != "done":
            continue
        try:
            notes = Notes(flags=set(scans.loc[row.scan_id, "flags"].split()))
            take_mark(job.params.marks, row.scan_id, notes)
            volume = read_volume(f"{job.input.volumes}/{row.scan_id}_ct.nii.gz")
            tables.append(localize_scan(row, volume, find, overrides, sight, notes))
            scans.loc[row.scan_id, "flags"] = " ".join(sorted(notes.flags))
        except Refused as refusal:
            job.log.warning("%s: %s %s", row.scan_id, refusal.state, refusal.reason)
            scans.loc[row.scan_id, ["state", "reason", "message"]] = [refusal.state, refusal.reason, str(refusal)]
    write_table(job.output.landmarks, pd.concat(tables), LANDMARKS)
    write_table(job.output.states, scans, SCANS)
