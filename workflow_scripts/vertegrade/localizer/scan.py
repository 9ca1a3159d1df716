"""The vertebrae of one scan, whatever finds them: what was found, corrected by hand, compared with the image."""

import logging
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from vertegrade.annotations.overrides import adds_to, apply_overrides
from vertegrade.cohort.sheet import ScanRow
from vertegrade.ct.volume import Volume
from vertegrade.localizer.sight.against_image import check_against_image
from vertegrade.localizer.sight.see import Sight
from vertegrade.reasons import Notes, Refused
from vertegrade.settings.spine import LocalizeSettings
from vertegrade.spine.doubt import with_flags
from vertegrade.spine.foreign import without_foreign
from vertegrade.spine.landmarks import moved_landmarks, provided_landmarks, tool_landmarks
from vertegrade.tables import LANDMARKS, empty_table

# Table LANDMARKS of one scan as it was found; Refused where nothing was.
Finder = Callable[[ScanRow, Volume, Notes], pd.DataFrame]
NOTHING_FOUND = ("no_landmarks", "no_spine", "no_vertebrae")
LOG = logging.getLogger("vertegrade.localize")


def finder(settings: LocalizeSettings, weights: Path | None, device: str, truth: pd.DataFrame | None = None) -> Finder:
    """What finds vertebrae by `settings.method`. weights: folder of the networks of `learned`. device: cuda or cpu.

    truth: VIRTUAL_TRUTH of scans with virtual fractures, where the landmarks of their sources were given.
    """
    if settings.method == "learned":
        assert weights
        # torch takes seconds to import; given landmarks need not wait
        from vertegrade.localizer.landmarks import learned_landmarks
        from vertegrade.localizer.networks import load_localizer
        from vertegrade.threads import fixed_threads

        localizer = load_localizer(weights, device)

        def learned(row: ScanRow, volume: Volume, notes: Notes) -> pd.DataFrame:
            with fixed_threads():
                return learned_landmarks(row, volume, localizer, settings)

        return learned
    if truth is not None:
        return lambda row, volume, notes: moved_landmarks(truth[truth["scan_id"] == row.scan_id], volume, settings)
    if settings.method == "provided":
        return lambda row, volume, notes: provided_landmarks(row, volume, settings, notes)
    return lambda row, volume, notes: tool_landmarks(row, volume, settings, device)


def localize_scan(
    row: ScanRow, volume: Volume, find: Finder, overrides: pd.DataFrame, sight: Sight, notes: Notes
) -> pd.DataFrame:
    """Table LANDMARKS of one scan after corrections, bodies with foreign material marked, with all flags.

    overrides: table OVERRIDES of any scans. notes: its flags are those of the scan, to which some may be added.
    Corrections that add vertebrae need none that were found. Refused: nothing was found, or the image contradicts it.
    """
    try:
        found = find(row, volume, notes)
    except Refused as refusal:
        if refusal.reason not in NOTHING_FOUND or not adds_to(overrides, row.scan_id):
            raise
        LOG.warning("%s: %s, but localize.overrides adds vertebrae", row.scan_id, refusal.reason)
        found = empty_table(LANDMARKS)
    landmarks = without_foreign(apply_overrides(found, overrides, row.scan_id, row.patient_id), volume)
    check_against_image(landmarks, volume, sight, f"scan {row.scan_id}")
    return with_flags(landmarks.assign(flags=" ".join(sorted(notes.flags))))
