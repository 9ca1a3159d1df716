"""Labels of a scan's detections: right where the evidence allows, doubtful where it does not, always in order."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp

from vertegrade.levels import SACRUM, craniocaudal_rank
from vertegrade.spine import labelling
from vertegrade.spine.labelling import FALSE_ALARM, SPINE_LEVELS, Labelling, label_vertebrae

T12, T13, L1, L4, L5, L6 = 19, 28, 20, 23, 24, 25


def places(labels: list[int], size: float = 1.0) -> np.ndarray:
    """Places in mm of vertebrae at the expected distances."""
    steps = [labelling.step_mm(a, b) for a, b in itertools.pairwise(labels)]
    return np.concatenate([[0.0], size * np.cumsum(steps)])


def scores(labels: list[int], shift: float = 0.0, width: float = 0.6, seed: int | None = None) -> np.ndarray:
    """Level scores like a network's: bumps around the true level, moved by `shift` and by noise of the same width."""
    noise = 0.0 if seed is None else np.random.default_rng(seed).normal(0, width, len(labels))
    place = np.array([SPINE_LEVELS.index(label) for label in labels]) + shift + noise
    return -0.5 * ((np.arange(len(SPINE_LEVELS)) - place[:, None]) / width) ** 2


def label(labels: list[int], level_log_p: np.ndarray, size: float = 1.0) -> Labelling:
    return label_vertebrae(level_log_p, places(labels, size), np.full(len(labels), 0.95))


def test_good_scores_of_a_whole_spine_give_its_labels():
    spine = [*range(3, 25), SACRUM]
    found = label(spine, scores(spine))
    assert found.labels.tolist() == spine
    assert found.scan_confidence > 0.99


@pytest.mark.parametrize("size", [0.85, 1.0, 1.15])
def test_noisy_scores_become_right_together(size: float):
    spine = [*range(10, 24)]
    noisy = [scores(spine, width=0.9, seed=seed) for seed in range(6)]
    alone = np.mean([np.array(SPINE_LEVELS)[one.argmax(axis=1)] == spine for one in noisy])
    together = np.mean([label(spine, one, size).labels == spine for one in noisy])
    assert alone < 0.6
    assert together > 0.95


def test_one_vertebra_with_a_sure_but_wrong_score_is_outvoted():
    spine = [*range(14, 24)]
    level_log_p = scores(spine)
    level_log_p[4] = scores([spine[4] + 2])[0]
    found = label(spine, level_log_p)
    assert found.labels.tolist() == spine


def test_missed_vertebra_leaves_a_gap_in_the_labels():
    seen = [12, 13, 14, 16, 17, 18]
    found = label_vertebrae(scores(seen), places([12, 13, 14, 15, 16, 17, 18])[[0, 1, 2, 4, 5, 6]], np.full(6, 0.95))
    assert found.labels.tolist() == seen


def test_gap_follows_from_the_distance_alone():
    """All scores but the first are unknown: the step of two levels must come from the millimetres."""
    seen = [12, 13, 14, 16, 17, 18]
    level_log_p = np.zeros((6, len(SPINE_LEVELS)))
    level_log_p[:2] = scores([12, 13], width=0.3)
    found = label_vertebrae(level_log_p, places([*range(12, 19)])[[0, 1, 2, 4, 5, 6]], np.full(6, 0.95))
    assert found.labels.tolist() == seen


def test_detection_between_two_vertebrae_is_a_false_alarm():
    spine = [*range(14, 22)]
    arcs = np.insert(places(spine), 4, places(spine)[3:5].mean())
    level_log_p = np.insert(scores(spine), 4, scores([17])[0], axis=0)
    sure = np.insert(np.full(8, 0.95), 4, 0.5)
    found = label_vertebrae(level_log_p, arcs, sure)
    assert found.labels.tolist() == [*spine[:4], FALSE_ALARM, *spine[4:]]
    assert found.confidence[4] > 0.9


def test_nothing_but_a_false_alarm_follows_the_sacrum():
    spine = [L4, L5, SACRUM]
    arcs = np.append(places(spine), places(spine)[-1] + 28)
    level_log_p = np.concatenate([scores(spine, width=0.3), scores([SACRUM])])
    found = label_vertebrae(level_log_p, arcs, np.array([0.95, 0.95, 0.95, 0.6]))
    assert found.labels.tolist() == [*spine, FALSE_ALARM]


@pytest.mark.parametrize(
    "variant",
    [[16, 17, 18, T12, T13, L1, 21], [16, 17, 18, L1, 21], [22, 23, L5, L6, SACRUM], [21, 22, L4, SACRUM]],
    ids=["T13", "no T12", "L6", "no L5"],
)
def test_variants_are_found_where_the_scores_say_so(variant: list[int]):
    assert label(variant, scores(variant, width=0.35)).labels.tolist() == variant


def test_sacrum_alone_names_the_lumbar_vertebrae():
    spine = [20, 21, 22, 23, 24, SACRUM]
    level_log_p = np.zeros((6, len(SPINE_LEVELS)))
    level_log_p[-1] = scores([SACRUM], width=0.3)[0]
    assert label(spine, level_log_p).labels.tolist() == spine


def test_unknown_first_vertebra_is_told_as_doubt():
    """Distances of a short thoracic scan fit many levels: the labels are consecutive, and nobody is sure of them."""
    spine = [12, 13, 14, 15]
    found = label(spine, np.zeros((4, len(SPINE_LEVELS))))
    assert np.diff(found.labels).tolist() == [1, 1, 1]
    assert found.scan_confidence < 0.4


def test_confidence_is_no_larger_than_how_often_labels_are_right():
    """Six vertebrae, scores as wide as their errors, a third of which the scan shares: a network errs alike."""
    confidence, right = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        first = int(rng.integers(8, 19))
        spine = [*range(first, first + 6)]
        found = label(spine, scores(spine, shift=rng.normal(0, 0.3), width=0.9, seed=1000 + seed))
        confidence.append(found.confidence)
        right.append(found.labels == spine)
    doubtful = np.concatenate(confidence) < 0.7
    assert np.concatenate(right)[doubtful].mean() < np.concatenate(right)[~doubtful].mean()
    assert np.mean(confidence) < np.mean(right) + 0.02


def test_detector_with_fewer_levels_in_another_order():
    levels = (*range(8, 27), T13)
    spine = [16, 17, 18, T12, T13, L1]
    level_log_p = scores(spine, width=0.35)[:, [SPINE_LEVELS.index(level) for level in levels]]
    found = label_vertebrae(level_log_p, places(spine), np.full(6, 0.9), levels=levels)
    assert found.labels.tolist() == spine
    assert found.posterior.shape == (6, len(levels))


def test_no_detection_has_no_label():
    found = label_vertebrae(np.zeros((0, len(SPINE_LEVELS))), np.zeros(0), np.zeros(0))
    assert len(found.labels) == 0
    assert found.scan_confidence == 0


@pytest.mark.parametrize(
    ("arcs", "sure", "levels", "message"),
    [
        ([1.0, 0.0], [0.9, 0.9], SPINE_LEVELS, "head to feet"),
        ([0.0, 1.0, 2.0], [0.9, 0.9], SPINE_LEVELS, "same detections"),
        ([0.0, 20.0], [0.9, 1.9], SPINE_LEVELS, "between 0 and 1"),
        ([0.0, 20.0], [0.9, -0.1], SPINE_LEVELS, "between 0 and 1"),
        ([0.0, np.inf], [0.9, 0.9], SPINE_LEVELS, "must be finite"),
        ([0.0, 20.0], [0.9, 0.9], (*SPINE_LEVELS[1:], 20), "each once"),
        ([0.0, 20.0], [0.9, 0.9], (*SPINE_LEVELS[1:], 99), "each once"),
        ([0.0, 20.0], [0.9], SPINE_LEVELS, "same detections"),
        ([0.0, 20.0], [0.9, 0.9], SPINE_LEVELS[1:], "same detections"),
    ],
)
def test_contradictions_are_refused(arcs: list[float], sure: list[float], levels: tuple[int, ...], message: str):
    with pytest.raises(ValueError, match=message):
        label_vertebrae(np.zeros((2, len(SPINE_LEVELS))), np.array(arcs), np.array(sure), levels)


SMALL = (18, T12, T13, L1, 21)


def brute_force(log_p: np.ndarray, arcs: np.ndarray, sure: np.ndarray) -> tuple[list[int], np.ndarray]:
    """Best states and posterior over SMALL, by trying every state of every detection for every size of the patient."""
    n = labelling
    lower = {18: {T12: 1 - n.NO_T12, L1: n.NO_T12}, T12: {L1: 1 - n.T13, T13: n.T13}, T13: {L1: 1.0}, L1: {21: 1.0}}

    def ways(a: int, b: int) -> list[tuple[float, list[float]]]:
        direct = [(lower[a][b], [n.step_mm(a, b)])] if b in lower.get(a, {}) else []
        past = [
            (p * n.MISSED * q, [n.step_mm(a, c), *steps])
            for c, p in lower.get(a, {}).items()
            for q, steps in ways(c, b)
        ]
        return direct + past

    def step(a: int, b: int, distance: float, size: float) -> float:
        total = 0.0
        for p, steps in ways(a, b):
            variance = (n.STEP_SPREAD * size) ** 2 * np.sum(np.square(steps)) + 2 * n.DETECTION_MM**2
            density = np.exp(-0.5 * (distance - size * sum(steps)) ** 2 / variance) / np.sqrt(2 * np.pi * variance)
            total += p * ((1 - n.FREE_SHARE) * n.FREE_MM * density + n.FREE_SHARE)
        return float(np.log(total)) if total else -np.inf

    share = np.exp(log_p - logsumexp(log_p, axis=1, keepdims=True))
    score = n.SCORE_WEIGHT * np.log((1 - n.SCORE_FLOOR) * share * len(SMALL) + n.SCORE_FLOOR)
    found = []
    for z, states in itertools.product(n.SIZES, itertools.product(range(-1, len(SMALL)), repeat=len(arcs))):
        kept = [i for i, state in enumerate(states) if state >= 0]
        value = -0.5 * z**2 - (np.log(len(SMALL)) if kept else 0.0)
        value += sum(
            np.log(sure[i]) + score[i, states[i]] if i in kept else np.log(1 - sure[i]) for i in range(len(arcs))
        )
        for i, j in itertools.pairwise(kept):
            value += step(SMALL[states[i]], SMALL[states[j]], arcs[j] - arcs[i], float(np.exp(n.PERSON_SIZE * z)))
        found.append((value, states))
    values = np.array([value for value, _ in found])
    weight = np.exp(values - logsumexp(values))
    posterior = np.zeros((len(arcs), len(SMALL)))
    for w, (_, states) in zip(weight, found, strict=True):
        for i, state in enumerate(states):
            if state >= 0:
                posterior[i, state] += w
    best = max(found, key=lambda entry: entry[0])[1]
    return [SMALL[state] if state >= 0 else FALSE_ALARM for state in best], posterior


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 3))
def test_same_as_trying_everything(seed: int, count: int):
    rng = np.random.default_rng(seed)
    log_p = rng.normal(0, 3, (count, len(SMALL)))
    arcs = np.cumsum(rng.uniform(8, 60, count))
    sure = rng.uniform(0.1, 0.9, count)
    found = label_vertebrae(log_p, arcs, sure, SMALL)
    labels, posterior = brute_force(log_p, arcs, sure)
    assert found.labels.tolist() == labels
    np.testing.assert_allclose(found.posterior, posterior, atol=1e-9)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 12))
def test_labels_run_from_head_to_feet_whatever_comes_in(seed: int, count: int):
    rng = np.random.default_rng(seed)
    found = label_vertebrae(
        rng.normal(0, 5, (count, len(SPINE_LEVELS))), np.cumsum(rng.uniform(1, 90, count)), rng.uniform(0, 1, count)
    )
    ranks = [craniocaudal_rank(one) for one in found.labels if one != FALSE_ALARM]
    assert ranks == sorted(set(ranks))
    assert ((found.posterior.sum(axis=1) <= 1 + 1e-9) & (found.confidence >= 0) & (found.confidence <= 1)).all()
