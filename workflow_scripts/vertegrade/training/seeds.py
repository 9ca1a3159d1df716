"""Random numbers of a training that follow from its seed and the step alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import numpy as np
import torch


@contextmanager
def own_generators(seed: int, device: str) -> Iterator[None]:
    """Inside the block, torch's global generators (initial weights, dropout) start from `seed`; outside, as before."""
    with torch.random.fork_rng([] if device == "cpu" else [torch.device(device)]):
        torch.manual_seed(seed)
        yield


def step_seed(seed: int, step: int, part: int = 0) -> int:
    """A separate seed (63 bits) for each step, and for each part of a batch that several processes share."""
    sequence = np.random.SeedSequence([seed, step], spawn_key=(part,) if part else ())
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))


def batch_positions(step: int, batch_size: int, count: int, seed: int) -> np.ndarray:
    """Positions of the samples of a step: all samples in a new order every epoch, int64 (batch_size,)."""
    drawn = np.arange(step * batch_size, (step + 1) * batch_size)
    return np.array([_order(seed, n // count, count)[n % count] for n in drawn.tolist()])


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, count: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch]).permutation(count)
