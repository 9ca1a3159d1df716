"""The training of one network of the ensemble on graded scans: batches, loss, and the score that chooses the step."""

import hashlib
import logging
from contextlib import nullcontext
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn import functional

from vertegrade.graders.classifiers.training import recipe
from vertegrade.graders.seq2seq.augmentation import changed
from vertegrade.graders.seq2seq.network import SpineNetwork
from vertegrade.graders.seq2seq.patches import UNKNOWN, patch_grades, patch_starts, shares
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


class Learning:
    """What a network learns from: graded scans, each changed in another way whenever a step sees it."""

    def __init__(self, scans: list[SpineScan], settings: Seq2seqSettings, fracture_grade: int, seed: int) -> None:
        self.scans, self.settings, self.seed = scans, settings, seed
        self.inside = [row_shares(scan.pixels) for scan in scans]
        self.fractured = np.array([int(scan.grade.max()) >= fracture_grade for scan in scans])
        self.processes = Processes()

    def batch(self, step: int) -> tuple[Tensor, ...]:
        """Patches (M, C, H, S, W) and which are real (B, P), as the network takes them; grades (B, P) and (B,).

        Of this process's part of a step's batch. UNKNOWN where a patch, or a whole scan, has no clear grade.
        """
        mine = np.array_split(self.positions(step), self.processes.count)[self.processes.rank]
        drawn = [
            self._draw(
                int(place), np.random.default_rng(step_seed(self.seed, step, 1 + self.processes.rank * 1000 + n))
            )
            for n, place in enumerate(mine)
        ]
        longest = max(len(grade) for _, grade, _ in drawn)
        real = torch.zeros((len(drawn), longest), dtype=torch.bool)
        grades = torch.full((len(drawn), longest), UNKNOWN)
        for n, (_, grade, _) in enumerate(drawn):
            real[n, : len(grade)] = True
            grades[n, : len(grade)] = torch.from_numpy(grade)
        return (
            torch.cat([patches for patches, _, _ in drawn]),
            real,
            grades,
            torch.tensor([worst for *_, worst in drawn]),
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

    def _draw(self, place: int, rng: np.random.Generator) -> tuple[Tensor, Whole, int]:
        """Patches (P, C, H, S, W) of a changed scan, from a random row on, their grades (P,), and the worst in them."""
        scan, train = self.scans[place], self.settings.train
        height, step = patch_rows(self.settings.spine)
        spine = changed(scan.pixels, scan.ends, train.augment, rng)
        rows = len(spine.hu)
        inside = self.inside[place][(np.arange(rows) * len(scan.pixels) / rows).astype(int)]
        phase = int(rng.integers(min(step, max(rows - height, 0) + 1)))  # of which a patch still fits
        starts = real_patches(inside, patch_starts(rows, height, step, phase), height)
        first = int(rng.integers(max(len(starts) - train.patches, 0) + 1))
        starts = starts[first : first + train.patches]
        share = shares(starts, height, spine.ends)
        grade = patch_grades(share, scan.grade, train.overlap)
        worst = int(patch_grades(share.max(axis=0)[None], scan.grade, train.overlap)[0])  # all patches as one
        patches = torch.from_numpy(cut(spine.hu.numpy(), starts, height))
        return seen(patches, self.settings.model.windows_hu), grade, worst


def spine_loss(
    settings: Seq2seqTrainSettings, network: nn.Module, x: Tensor, real: Tensor, patch: Tensor, scan: Tensor
) -> Tensor:
    """Negative log-likelihood of the patches' grades, and of the scans' worst one; through `network`.

    What is UNKNOWN counts for nothing; balanced: each grade as much as the others.
    """
    with torch.autocast(x.device.type, torch.bfloat16) if settings.precision == "bfloat16" else nullcontext():
        of_patches, of_scans = network(x, real)
    loss = likelihood(of_patches.flatten(0, 1), patch.flatten(), settings.balanced)
    return loss + settings.scan_loss * likelihood(of_scans, scan, settings.balanced)


def likelihood(log_p: Tensor, grade: Tensor, balanced: bool) -> Tensor:
    """Mean negative log-likelihood of log probabilities (N, 4) and grades (N,), 0 where none is known."""
    known = grade != UNKNOWN
    if not balanced:
        return functional.nll_loss(log_p[known], grade[known]) if bool(known.any()) else 0.0 * log_p[:, 0].sum()
    means = [-log_p[grade == value, value].mean() for value in GRADES if bool((grade == value).any())]
    return torch.stack(means).mean() if means else 0.0 * log_p[:, 0].sum()


def validation_score(network: SpineNetwork, scans: list[SpineScan], settings: Seq2seqSettings) -> float:
    """How well a network ranks validation scans, 0.5 to 1; their vertebrae and their worst grades count alike.

    Ranks, and not probabilities: of the patches that show a vertebra the best one counts, so that a network that knows
    something says "intact" too often until it is calibrated, and would lose to one that knows nothing.
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
    """Hash of all that is learned from scans: pixels, places and grades."""
    digest = hashlib.sha256()
    for scan in scans:
        digest.update(repr((scan.scan_id, scan.pixels.shape)).encode())
        for array in (scan.pixels, scan.ends, scan.grade):
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
