"""Find the vertebrae of a shard's scans by the learned networks, a tool, or what is given with the scans."""

from pathlib import Path

import pandas as pd

from vertegrade.annotations.overrides import adds_to, apply_overrides, read_overrides
from vertegrade.cohort.sheet import ScanRow
from vertegrade.ct.volume import Volume, read_volume
from vertegrade.localizer.sight.against_image import check_against_image
from vertegrade.localizer.sight.see import load_sight
from vertegrade.reasons import Notes, Refused
from vertegrade.settings.spine import LocalizeSettings
from vertegrade.spine.doubt import with_flags
from vertegrade.spine.foreign import without_foreign
from vertegrade.spine.landmarks import provided_landmarks, tool_landmarks
from vertegrade.tables import LANDMARKS, SCANS, empty_table, read_table, write_table
from vertegrade.workflow.job import run_job

NOTHING_FOUND = ("no_landmarks", "no_spine", "no_vertebrae")

with run_job(snakemake) as job:
    settings = job.settings(LocalizeSettings)
    overrides = read_overrides(settings.overrides)
    scans = read_table(job.input.scans, SCANS).set_index("scan_id", drop=False)
    sight = load_sight(job.input.sight)
    if settings.method == "learned":
        # torch takes seconds to import; given landmarks need not wait
        import torch

        from vertegrade.localizer.landmarks import learned_landmarks
        from vertegrade.localizer.networks import load_localizer

        torch.set_num_threads(job.threads)
        localizer = load_localizer(Path(job.input.found_by[0]).parent, job.device)

    def found_in(row: ScanRow, volume: Volume, notes: Notes) -> pd.DataFrame:
        """Table LANDMARKS of one scan by the method; Refused where it gives none."""
        if settings.method == "learned":
            return learned_landmarks(row, volume, localizer, settings)
        if settings.method == "provided":
            return provided_landmarks(row, volume, settings, notes)
        return tool_landmarks(row, volume, settings, job.device)

    def landmarks_of(row: ScanRow, volume: Volume, notes: Notes) -> pd.DataFrame:
        """Table LANDMARKS of one scan after corrections, bodies with foreign material marked.

        Corrections that add vertebrae need none that were found.
        """
        try:
            found = found_in(row, volume, notes)
        except Refused as refusal:
            if refusal.reason not in NOTHING_FOUND or not adds_to(overrides, row.scan_id):
                raise
            job.log.warning("%s: %s, but localize.overrides adds vertebrae", row.scan_id, refusal.reason)
            found = empty_table(LANDMARKS)
        return without_foreign(apply_overrides(found, overrides, row.scan_id, row.patient_id), volume)

    tables = [empty_table(LANDMARKS)]
    for row in (ScanRow(**plain) for plain in job.params.rows):
        if scans.loc[row.scan_id, "state"] != "done":
            continue
        try:
            volume = read_volume(f"{job.input.volumes}/{row.scan_id}_ct.nii.gz")
            notes = Notes(flags=set(scans.loc[row.scan_id, "flags"].split()))
            found = landmarks_of(row, volume, notes)
            check_against_image(found, volume, sight, f"scan {row.scan_id}")
            tables.append(found)
            scans.loc[row.scan_id, "flags"] = " ".join(sorted(notes.flags))
        except Refused as refusal:
            job.log.warning("%s: %s %s", row.scan_id, refusal.state, refusal.reason)
            scans.loc[row.scan_id, ["state", "reason", "message"]] = [refusal.state, refusal.reason, str(refusal)]
    landmarks = pd.concat(tables)
    landmarks["flags"] = landmarks["scan_id"].map(scans["flags"])
    landmarks = with_flags(landmarks)
    write_table(job.output.landmarks, landmarks, LANDMARKS)
    write_table(job.output.states, scans, SCANS)
