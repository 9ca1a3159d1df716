"""All straight spines of a shard: canal, slab and bodies of each scan, or why there are none."""

import logging
from collections.abc import Callable

import numpy as np
import pandas as pd

from vertegrade.ct.volume import Volume
from vertegrade.graders.seq2seq.patches import patch_starts
from vertegrade.graders.seq2seq.sequences import LEAST_INSIDE, patch_shares, row_shares
from vertegrade.graders.seq2seq.spine import patch_rows, spine_bodies, straight_spine
from vertegrade.localizer.canal.find import find_canal
from vertegrade.localizer.canal.network import CanalNetwork
from vertegrade.reasons import Refused
from vertegrade.settings.seq2seq import StraightSpineSettings
from vertegrade.tables import SPINE_BODIES, STRAIGHT_SPINES, check_table, empty_table
from vertegrade.threads import fixed_threads

LOG = logging.getLogger("vertegrade.straight_spines")


def straight_spines(
    scans: pd.DataFrame,
    crops: pd.DataFrame,
    landmarks: pd.DataFrame,
    volume_of: Callable[[str], Volume],
    network: CanalNetwork,
    device: str,
    settings: StraightSpineSettings,
) -> tuple[np.ndarray, pd.DataFrame, pd.DataFrame]:
    """Rows int16 HU (R, S, W) of all scans, STRAIGHT_SPINES and SPINE_BODIES of a shard.

    scans: SCANS, of which those that are done count. crops, landmarks: CROPS and LANDMARKS. volume_of: by scan_id.
    """
    pixels = [np.empty((0, settings.size, settings.size), np.int16)]
    tables, rows, first = [empty_table(SPINE_BODIES)], [], 0
    for patient_id, scan_id in scans.loc[scans["state"] == "done", ["patient_id", "scan_id"]].itertuples(index=False):
        frames, reason = None, ""
        row = {"patient_id": patient_id, "scan_id": scan_id, "first_row": first, "rows": 0, "canal_seen": 0.0}
        volume = volume_of(scan_id)
        try:
            with fixed_threads():
                canal = find_canal(volume, network, device)
            spine = straight_spine(volume, canal, settings)
            if not shows_a_patch(spine.pixels, settings):
                raise Refused("spine_outside_scan", "the bodies in front of the spinal canal lie outside the scan")
        except Refused as refusal:
            reason = refusal.reason
            rows.append(row | {"evaluable": False, "reason": reason})
            LOG.warning("%s: %s", scan_id, refusal)
        else:
            frames = spine.frames
            pixels.append(spine.pixels)
            row |= {"rows": len(frames), "canal_seen": canal.sure / canal.slices}
            rows.append(row | {"evaluable": True, "reason": ""})
            first += len(frames)
            LOG.info("%s: %d rows, canal seen in %d of %d slices", scan_id, len(frames), canal.sure, canal.slices)
        own, found = (table[table["scan_id"] == scan_id] for table in (crops, landmarks))
        tables.append(spine_bodies(own, found, frames, settings, reason))
    spines = check_table(pd.DataFrame(rows, columns=list(STRAIGHT_SPINES.columns)), STRAIGHT_SPINES, "straight spines")
    return np.concatenate(pixels), spines, check_table(pd.concat(tables), SPINE_BODIES, "bodies of straight spines")


def shows_a_patch(pixels: np.ndarray, settings: StraightSpineSettings) -> bool:
    """Whether enough of one patch of a straight spine (R, S, W) lies in the scan: else air would be graded."""
    height, step = patch_rows(settings)
    shares = patch_shares(row_shares(pixels), patch_starts(len(pixels), height, step), height)
    return bool((shares >= LEAST_INSIDE).any())
