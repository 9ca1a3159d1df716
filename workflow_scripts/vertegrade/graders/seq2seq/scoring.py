"""What the networks say of whole scans: of their patches, their vertebrae and their worst grade."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from vertegrade.arrays import Floats
from vertegrade.graders.classifiers.images import channels
from vertegrade.graders.seq2seq.network import SpineNetwork
from vertegrade.graders.seq2seq.patches import NOBODY, distances, patch_starts, patches_of
from vertegrade.graders.seq2seq.sequences import SpineScan, cut, real_patches, row_shares, spine_scans
from vertegrade.graders.seq2seq.spine import patch_rows
from vertegrade.graders.seq2seq.weights import Trained
from vertegrade.settings.seq2seq import StraightSpineSettings
from vertegrade.tables import GRADES, LATENTS, SCAN_SCORES, check_table
from vertegrade.threads import fixed_threads
from vertegrade.weights import WeightsError

ENSEMBLE = "ensemble"
PHASES = 3  # readings of a scan, whose patches begin a part of a step later each time
LEAST_P = 1e-6


@dataclass(frozen=True, eq=False)
class Scored:
    """Grade probabilities of a scan by one network, or the means over several.

    vertebrae: (V, 4), NaN where a body's middle lies in no patch. patches: (P, 4). scan: (4,), of its worst grade.
    """

    vertebrae: Floats
    patches: Floats
    scan: Floats


def seen(patches: Tensor, windows: list[list[float]]) -> Tensor:
    """Patches in HU (M, H, S, W) as the networks take them: (M, windows, H, S, W), each -1 to 1."""
    return channels(patches.float(), None, windows, 3)


def score_scan(
    network: SpineNetwork, scan: SpineScan, windows: list[list[float]], spine: StraightSpineSettings, in_a_row: int
) -> Scored:
    """What one network says of a whole scan.

    in_a_row: so many patches a step of the training saw at most, one after the other. So many are read at a time here
    too, from each patch on: the heads' maximum over patches grows with their number, and would call a long scan
    fractured because it is long. A patch has the mean over the rows that hold it. The scan is as bad as its worst row:
    P(grade <= g) is the least of theirs. All is done for patches that begin at PHASES rows of a step, and a body or a
    scan has the mean of them.
    """
    height, step = patch_rows(spine)
    inside, phases = row_shares(scan.pixels), np.unique(np.arange(PHASES) * step // PHASES)
    of_patches, of_scan, of_bodies = [], [], np.full((len(phases), len(scan.ends), len(GRADES)), np.nan)
    for number, phase in enumerate(phases[phases <= max(len(scan.pixels) - height, 0)]):
        starts = real_patches(inside, patch_starts(len(scan.pixels), height, step, int(phase)), height)
        p_patch, p_row = _read_patches(network, cut(scan.pixels, starts, height), windows, in_a_row)
        belongs = patches_of(distances(starts, height, scan.ends))
        of_bodies[number, belongs != NOBODY] = p_patch[belongs[belongs != NOBODY]]
        of_patches.append(p_patch)
        of_scan.append(worst_of(p_row))
    return Scored(_means(of_bodies), np.concatenate(of_patches), np.mean(of_scan, axis=0))


def _read_patches(
    network: SpineNetwork, patches: np.ndarray, windows: list[list[float]], in_a_row: int
) -> tuple[Floats, Floats]:
    """Grade probabilities of patches (P, 4), HU (P, H, S, W), and of the rows of them (P - in_a_row + 1, 4)."""
    device, length = next(network.parameters()).device, min(in_a_row, len(patches))
    with torch.inference_mode():
        features = network.look(seen(torch.from_numpy(np.ascontiguousarray(patches)).to(device), windows))
        rows = features.unfold(0, length, 1).transpose(1, 2)
        of_patches, of_rows = network.read(rows, torch.ones(rows.shape[:2], dtype=torch.bool, device=device))
    return patch_means(of_patches.double().exp().cpu().numpy()), of_rows.double().exp().cpu().numpy()


def _means(p: Floats) -> Floats:
    """Means (V, 4) over the readings (N, V, 4) that have seen a body; NaN where none has."""
    found = np.isfinite(p).all(axis=2)
    means: Floats = np.nansum(p, axis=0) / np.where(found.any(axis=0), found.sum(axis=0), np.nan)[:, None]
    return means


def patch_means(p: Floats) -> Floats:
    """Probabilities (P, 4) of patches: their means over the rows (P - n + 1, n, 4), one from each patch on."""
    places = np.arange(p.shape[0])[:, None] + np.arange(p.shape[1])
    sums = np.zeros((places[-1, -1] + 1, p.shape[2]))
    np.add.at(sums, places, p)
    return sums / np.bincount(places.ravel())[:, None]


def worst_of(p: Floats) -> Floats:
    """Probabilities (4,) of a whole that is as bad as its worst part, from those of its parts (N, 4)."""
    return np.diff(np.cumsum(p, axis=1).min(axis=0), prepend=0.0)


def mean_of(scored: list[Scored]) -> Scored:
    """The average of several networks' probabilities."""
    parts = zip(*[(one.vertebrae, one.patches, one.scan) for one in scored], strict=True)
    return Scored(*(np.mean(part, axis=0) for part in parts))


def score_tables(
    trained: Trained,
    array: np.ndarray,
    spines: pd.DataFrame,
    bodies: pd.DataFrame,
    geometry: str,
    fracture_grade: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """LATENTS, whose z is the ensemble's log P(grade), of a shard's SPINE_BODIES, and SCAN_SCORES of its scans.

    WeightsError where the spines are others than those of the training. Scans and bodies that are not evaluable keep
    their reason.
    """
    if geometry != trained.geometry:
        raise WeightsError(
            f"the spines are made with {geometry}, the networks were trained on {trained.geometry}; use the same "
            "settings seq2seq.spine and the same networks of the localizer, or train again"
        )
    z = np.zeros((len(bodies), len(GRADES)), np.float32)
    rows = []
    with fixed_threads():
        for scan in spine_scans(array, spines, bodies):
            members = {
                name: score_scan(network, scan, trained.windows, trained.spine, trained.in_a_row)
                for name, network in trained.networks.items()
            }
            members[ENSEMBLE] = mean_of(list(members.values()))
            z[scan.rows] = np.log(np.maximum(members[ENSEMBLE].vertebrae, LEAST_P))
            rows += [_row(scan, name, scored, fracture_grade) for name, scored in members.items()]
    left_out = spines[~spines["evaluable"]]
    rows += [
        {
            "patient_id": row.patient_id,
            "scan_id": row.scan_id,
            "network": name,
            "evaluable": False,
            "reason": row.reason,
        }
        for row in left_out.itertuples()
        for name in [*trained.networks, ENSEMBLE]
    ]
    scans = pd.DataFrame(rows, columns=list(SCAN_SCORES.columns))
    seen_by_patches = np.isfinite(z).all(axis=1)  # else all that would show it lie mostly outside of the scan
    z[~seen_by_patches] = 0
    evaluable = bodies["evaluable"].to_numpy() & seen_by_patches
    reason = np.where(seen_by_patches, bodies["reason"], "beyond_canal")
    scores = bodies.assign(model_sha256=trained.sha256, z=list(z), evaluable=evaluable, reason=reason)
    scores = scores[[name for name in LATENTS.columns if name in scores]]
    return check_table(scores, LATENTS, "scores"), check_table(scans, SCAN_SCORES, "scores of scans")


def _row(scan: SpineScan, name: str, scored: Scored, fracture_grade: int) -> dict[str, object]:
    return {
        "patient_id": scan.patient_id,
        "scan_id": scan.scan_id,
        "network": name,
        "p_fracture": _fractured(scored.scan, fracture_grade),
        "p_worst_patch": float(np.max(_fractured(scored.patches, fracture_grade))),
        "evaluable": True,
        "reason": "",
    }


def _fractured(p: Floats, fracture_grade: int) -> Floats:
    return np.clip(p[..., fracture_grade:].sum(axis=-1), LEAST_P, 1 - LEAST_P)
