"""The training of one network of the ensemble on graded scans: batches, loss, and the score that chooses the step."""

import hashlib
import logging
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn import functional

from vertegrade.arrays import Floats
from vertegrade.graders.classifiers.training import recipe
from vertegrade.graders.seq2seq.augmentation import changed
from vertegrade.graders.seq2seq.network import BODY, SpineNetwork
from vertegrade.graders.seq2seq.patches import (
    NOBODY,
    UNKNOWN,
    bodies_of,
    distances,
    patch_grades,
    patch_starts,
    patches_of,
    worst_grade,
)
from vertegrade.graders.seq2seq.scoring import score_scan, seen
from vertegrade.graders.seq2seq.sequences import SpineScan, cut, real_patches, row_shares
from vertegrade.graders.seq2seq.spine import patch_rows
from vertegrade.grading.rows import Whole
from vertegrade.settings.seq2seq import Seq2seqSettings, Seq2seqTrainSettings
from vertegrade.tables import GRADES
from vertegrade.training.loop import Training, shown
from vertegrade.training.processes import Processes
from vertegrade.training.seeds import batch_positions, own_generators, step_seed

log = logging.getLogger(__name__)
METHOD = "seq2seq"
USUAL_MM = 20.0  # height of a usual body
SMALL = 0.1  # error of a body's numbers from which on it counts linearly


class Learning:
    """What a network learns from: graded scans, each changed in another way whenever a step sees it."""

    def __init__(self, scans: list[SpineScan], settings: Seq2seqSettings, fracture_grade: int, seed: int) -> None:
        self.scans, self.settings, self.seed = scans, settings, seed
        self.fracture_grade = fracture_grade
        self.inside = [row_shares(scan.pixels) for scan in scans]
        self.fractured = np.array([int(scan.grade.max()) >= fracture_grade for scan in scans])
        self.processes = Processes()

    def batch(self, step: int) -> tuple[Tensor, ...]:
        """Patches (M, C, H, S, W) and which are real (B, P), as the network takes them; what they show: see `Row`.

        Of this process's part of a step's batch: grades (B, P) of patches and (B,) of rows of them, bodies (M, BODY).
        """
        mine = np.array_split(self.positions(step), self.processes.count)[self.processes.rank]
        drawn = [
            self._draw(
                int(place), np.random.default_rng(step_seed(self.seed, step, 1 + self.processes.rank * 1000 + n))
            )
            for n, place in enumerate(mine)
        ]
        longest = max(len(row.grade) for row in drawn)
        real = torch.zeros((len(drawn), longest), dtype=torch.bool)
        grades = torch.full((len(drawn), longest), UNKNOWN)
        for n, row in enumerate(drawn):
            real[n, : len(row.grade)] = True
            grades[n, : len(row.grade)] = torch.from_numpy(row.grade)
        return (
            torch.cat([row.patches for row in drawn]),
            real,
            grades,
            torch.tensor([row.worst for row in drawn]),
            torch.cat([torch.from_numpy(row.bodies) for row in drawn]),
        )

    def positions(self, step: int) -> Whole:
        """Scans (batch_size,) of a step; balanced: with and without a fracture in turn."""
        size = self.settings.train.batch_size
        kinds = [np.flatnonzero(self.fractured == kind) for kind in (False, True)]
        kinds = [kind for kind in kinds if len(kind)]
        if not self.settings.train.balanced:
            return batch_positions(step, size, len(self.scans), self.seed)
        each = -(-size // len(kinds))
        drawn = [kind[batch_positions(step, each, len(kind), self.seed + n)] for n, kind in enumerate(kinds)]
        return np.roll(np.stack(drawn), step, axis=0).T.ravel()[:size]

    def _draw(self, place: int, rng: np.random.Generator) -> "Row":
        """Some patches in a row of a changed scan; balanced: such as show a fracture where the scan has one."""
        scan, train = self.scans[place], self.settings.train
        height, step = patch_rows(self.settings.spine)
        spine = changed(scan.pixels, scan.ends, train.augment, rng)
        rows = len(spine.hu)
        inside = self.inside[place][(np.arange(rows) * len(scan.pixels) / rows).astype(int)]
        phase = int(rng.integers(min(step, max(rows - height, 0) + 1)))  # of which a patch still fits
        starts = real_patches(inside, patch_starts(rows, height, step, phase), height)
        away = distances(starts, height, spine.ends)
        grade = patch_grades(away, scan.grade)
        firsts = np.arange(max(len(starts) - train.patches, 0) + 1)
        if train.balanced and self.fractured[place]:
            fractured = np.append(0, np.cumsum(grade >= self.fracture_grade))
            shows = fractured[np.minimum(firsts + train.patches, len(starts))] > fractured[firsts]
            firsts = firsts[shows] if shows.any() else firsts
        first = int(rng.choice(firsts))
        row = slice(first, first + train.patches)
        in_row = np.isin(patches_of(away), np.arange(row.start, row.stop))
        patches = torch.from_numpy(cut(spine.hu.numpy(), starts[row], height))
        return Row(
            seen(patches, self.settings.model.windows_hu),
            grade[row],
            worst_grade(scan.grade[in_row]),
            body_targets(away, scan.heights * spine.factor, step)[row],
        )


@dataclass(frozen=True, eq=False)
class Row:
    """Patches (P, C, H, S, W) in a row, and what they show.

    grade: (P,) of each, and worst: of all bodies that belong to them; UNKNOWN where unclear. bodies: `body_targets`.
    """

    patches: Tensor
    grade: Whole
    worst: int
    bodies: np.ndarray


def body_targets(away: Floats, heights_mm: Floats, step: int) -> np.ndarray:
    """What a patch can learn of the body that belongs to it without any grade: float32 (P, BODY), NaN where unknown.

    The share by which its heights (V, 3) are more than those of a usual body, and how far it lies below the patch's
    middle, in steps of patches. away: `distances` (P, V).
    """
    body = bodies_of(away)
    told = np.full((len(body), BODY), np.nan, np.float32)
    for patch in np.flatnonzero(body != NOBODY):
        told[patch, :-1] = heights_mm[body[patch]] / USUAL_MM - 1
        told[patch, -1] = away[patch, body[patch]] / step
    return told


def spine_loss(
    settings: Seq2seqTrainSettings,
    network: nn.Module,
    x: Tensor,
    real: Tensor,
    patch: Tensor,
    scan: Tensor,
    bodies: Tensor,
) -> Tensor:
    """Negative log-likelihood of the patches' grades, and of the worst in each row, and how far off their bodies are.

    Through `network`. What is UNKNOWN counts for nothing; balanced: each grade as much as the others.
    """
    with torch.autocast(x.device.type, torch.bfloat16) if settings.precision == "bfloat16" else nullcontext():
        of_patches, of_scans, of_bodies = network(x, real)
    loss = likelihood(of_patches.flatten(0, 1), patch.flatten(), settings.balanced)
    loss = loss + settings.scan_loss * likelihood(of_scans, scan, settings.balanced)
    return loss + settings.body_loss * body_error(of_bodies.float(), bodies)


def body_error(said: Tensor, true: Tensor) -> Tensor:
    """Mean error of what is said (M, BODY) of bodies, squared where it is small; NaN in `true` counts for nothing."""
    known = torch.isfinite(true)
    error = functional.smooth_l1_loss(said, torch.where(known, true, said.detach()), reduction="sum", beta=SMALL)
    return error / known.sum().clamp(min=1)


def likelihood(log_p: Tensor, grade: Tensor, balanced: bool) -> Tensor:
    """Mean negative log-likelihood of log probabilities (N, 4) and grades (N,), 0 where none is known."""
    known = grade != UNKNOWN
    if not balanced:
        return functional.nll_loss(log_p[known], grade[known]) if bool(known.any()) else 0.0 * log_p[:, 0].sum()
    means = [-log_p[grade == value, value].mean() for value in GRADES if bool((grade == value).any())]
    return torch.stack(means).mean() if means else 0.0 * log_p[:, 0].sum()


def validation_score(network: SpineNetwork, scans: list[SpineScan], settings: Seq2seqSettings) -> float:
    """How well a network ranks validation scans, 0.5 to 1; their vertebrae and their worst grades count alike.

    Ranks, and not probabilities: a network that knows something may be too sure until it is calibrated, and would lose
    to one that knows nothing.
    """
    vertebrae, grades, of_scans, worst = [], [], [], []
    for scan in scans:
        scored = score_scan(network, scan, settings.model.windows_hu, settings.spine, settings.train.patches)
        known = (scan.grade != UNKNOWN) & np.isfinite(scored.vertebrae).all(axis=1)
        vertebrae.append(scored.vertebrae[known])
        grades.append(scan.grade[known])
        of_scans.append(scored.scan)
        worst.append(int(scan.grade.max()))
    of_vertebrae = concordance(np.concatenate(vertebrae), np.concatenate(grades))
    return (of_vertebrae + concordance(np.stack(of_scans), np.array(worst))) / 2


def concordance(p: np.ndarray, grade: np.ndarray) -> float:
    """How often the higher of two grades has the higher expected grade: mean AUC of each two grades, these alike.

    p: probabilities (N, 4). grade: (N,). Where all have one grade nothing can be ranked, which counts as chance.
    """
    if len(np.unique(grade)) < 2:
        return 0.5
    expected = p @ np.array(GRADES)
    pairs = [np.isin(grade, pair) for pair in combinations(np.unique(grade), 2)]
    return float(np.mean([roc_auc_score(grade[two] == grade[two].max(), expected[two]) for two in pairs]))


def train_member(
    variant: str,
    learning: Learning,
    validation: list[SpineScan],
    settings: Seq2seqSettings,
    folder: Path,
    seed: int,
    device: str,
) -> tuple[SpineNetwork, dict[str, float]]:
    """One network with the weights of the step that is best on validation patients; resumes from its folder.

    Raises as `Training.run` does.
    """
    train = settings.train
    with own_generators(seed, device):
        network = SpineNetwork(settings.model, variant).to(device)
        if learning.processes.count > 1 and device == "cuda":
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        figures = Training(
            network,
            learning.batch,
            partial(spine_loss, train),
            recipe(network, train, METHOD),
            folder,
            seed,
            select=lambda current: validation_score(current, validation, settings),
        ).run()
    network.eval()
    log.info("%s: %s", variant, shown(figures))
    return network, figures


def content_sha256(scans: list[SpineScan]) -> str:
    """Hash of all that is learned from scans: pixels, places, heights and grades."""
    digest = hashlib.sha256()
    for scan in scans:
        digest.update(repr((scan.scan_id, scan.pixels.shape)).encode())
        for array in (scan.pixels, scan.ends, scan.heights, scan.grade):
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
