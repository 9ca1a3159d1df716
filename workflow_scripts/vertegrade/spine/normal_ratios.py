"""How high a vertebra would be if it were intact: means by level, fitted to the patient by the other vertebrae.

Genant compares a vertebra with its unfractured neighbours. The shape of a normal vertebra varies with its level (the
median one has 1 - min/max of 0.15, docs/methods/keypoints.md) and its size with the patient. So neither a fixed rule
nor the vertebra alone can show a loss: a crushed body has normal ratios.

Model of the log heights of the vertebrae j of a scan: log h_jc = log(mean_c(level_j)) + size + shape_c + own_jc, with
one size and one shape (anterior and middle height over the posterior one) for the patient. Means and spreads are those
of `IntactHeights`.
"""

import numpy as np
from numpy.typing import NDArray

from vertegrade.arrays import Floats
from vertegrade.levels import LABEL_OF, craniocaudal_rank
from vertegrade.spine.intact_heights import IntactHeights

Whole = NDArray[np.int64]

# Standard deviation in levels of the neighbourhood that represents the patient: nearly the whole scan counts.
NEIGHBOURHOOD = 6.0
# A vertebra that lost less than the first share counts in full as a neighbour, one that lost the second not at all.
SOUND_LOSS, REDUCED_LOSS = 0.08, 0.18
# Which neighbours are reduced follows from the reference, which follows from the neighbours: stable after three turns.
TURNS = 3
# Quantile over a scan's vertebrae to start with: above the median, since fractures only lower.
START_QUANTILE = 0.6
ANTERIOR, MIDDLE, POSTERIOR = range(3)


def _level_log_heights(expected: IntactHeights) -> dict[int, Floats]:
    """Mean log heights (3,) in mm by VerSe label; levels of which nothing is known as the nearest."""
    found = {label: np.log(three) for label, three in expected.heights_mm.items()}
    above = dict.fromkeys(range(1, min(found)), found[min(found)])
    between = (found[LABEL_OF["T12"]] + found[LABEL_OF["L1"]]) / 2
    return above | found | {LABEL_OF["T13"]: between, LABEL_OF["L6"]: found[LABEL_OF["L5"]]}


def normal_log_heights(labels: Whole, label_confidence: Floats, expected: IntactHeights) -> tuple[Floats, Floats]:
    """Mean log heights (N, 3) of intact vertebrae of these levels, and their standard deviation (N, 3) for doubt.

    labels: VerSe (N,). label_confidence: probability (N,) that the label is right; NaN counts as 1. The rest to
    1 is shared by the next level above and below, so that a label off by one costs little. ValueError: unknown label.
    """
    table = _level_log_heights(expected)
    unknown = sorted(set(labels.tolist()) - set(table))
    if unknown:
        raise ValueError(f"no normal heights for vertebra {unknown[0]}; VerSe labels are 1-25 and 28")
    order = sorted(table, key=craniocaudal_rank)
    heights = np.array([table[label] for label in order])
    place = np.array([order.index(label) for label in labels.tolist()], dtype=np.int64)
    sure = np.where(np.isnan(label_confidence), 1.0, label_confidence)[:, None]
    last = len(order) - 1
    three = np.stack([heights[np.clip(place + shift, 0, last)] for shift in (0, -1, 1)])
    weight = np.stack([sure, (1 - sure) / 2, (1 - sure) / 2])
    mean = (weight * three).sum(axis=0)
    return mean, np.sqrt((weight * (three - mean) ** 2).sum(axis=0))


def intact_log_heights(
    heights_mm: Floats, heights_sd_mm: Floats, labels: Whole, label_confidence: Floats, expected: IntactHeights
) -> tuple[Floats, Floats]:
    """Log heights (N, 3) that a scan's vertebrae would have if they were intact, and their standard deviation (N, 3).

    heights_mm (N, 3) and their standard deviations, labels and confidence as of `normal_log_heights`, of the measured
    vertebrae of one scan. Size and shape of the patient are weighted means over the vertebrae that are not reduced
    themselves, the nearer the more, drawn to the population's mean as a normal prior does. Of the vertebra itself only
    the posterior height counts, as more evidence of size, unless it is reduced too: shrunk to itself, a vertebra alone
    in its scan would never be fractured.
    """
    normal, doubt = normal_log_heights(labels, label_confidence, expected)
    above_normal = np.log(heights_mm) - normal
    shape = above_normal[:, :POSTERIOR] - above_normal[:, POSTERIOR:]
    witness = np.column_stack([shape, above_normal[:, POSTERIOR]])
    error = (heights_sd_mm / heights_mm) ** 2 + doubt**2
    own = expected.vertebra_sd**2
    variance = own + error[:, POSTERIOR:] + np.column_stack([error[:, :POSTERIOR], np.zeros(len(error))])
    prior = expected.person_sd**2

    rank = np.array([craniocaudal_rank(label) for label in labels.tolist()])
    near = np.exp(-0.5 * ((rank[:, None] - rank) / NEIGHBOURHOOD) ** 2)[:, :, None].repeat(3, axis=2)
    itself = np.arange(len(rank))
    near[itself, itself] = 0.0
    patient = np.quantile(witness, START_QUANTILE, axis=0) / (1 + variance.mean(axis=0) / len(rank) / prior)
    patient = np.tile(patient, (len(rank), 1))
    for _ in range(TURNS):
        loss = 1 - np.exp(above_normal - _columns(patient))
        weight = near * _sound(loss.max(axis=1))[None, :, None]
        weight[itself, itself, POSTERIOR] = _sound(loss[:, POSTERIOR])
        weight /= variance[None]
        precision = 1 / prior + weight.sum(axis=1)
        patient = (weight * witness[None]).sum(axis=1) / precision
    spread = 1 / precision + own
    shape_spread = np.column_stack([spread[:, :POSTERIOR], np.zeros(len(rank))])
    return normal + _columns(patient), np.sqrt(shape_spread + spread[:, POSTERIOR:] + doubt**2)


def _columns(patient: Floats) -> Floats:
    """Log heights above normal (N, 3) of anterior shape, middle shape and size (N, 3)."""
    size = patient[:, POSTERIOR:]
    return np.column_stack([patient[:, :POSTERIOR] + size, size])


def _sound(loss: Floats) -> Floats:
    """How much a vertebra with this loss counts as a neighbour: 1 intact, 0 reduced."""
    share: Floats = np.clip((REDUCED_LOSS - loss) / (REDUCED_LOSS - SOUND_LOSS), 0.0, 1.0)
    return share
