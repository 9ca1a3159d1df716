"""Random numbers follow from seed and step, and the program's own stay as they are."""

import numpy as np
import torch

from vertegrade.training.seeds import batch_positions, own_generators, step_seed


def test_the_programs_generator_is_left_alone() -> None:
    before = torch.random.get_rng_state()
    with own_generators(3, "cpu"):
        first = torch.rand(3)
    with own_generators(3, "cpu"):
        assert torch.equal(torch.rand(3), first)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_every_step_and_part_has_its_own_numbers() -> None:
    seeds = {step_seed(seed, step, part) for seed in range(3) for step in range(3) for part in range(3)}
    assert len(seeds) == 27
    assert max(seeds) < 2**63


def test_every_epoch_takes_every_sample_once() -> None:
    drawn = np.concatenate([batch_positions(step, 4, 10, seed=0) for step in range(5)])
    assert sorted(drawn[:10]) == sorted(drawn[10:]) == list(range(10))
    assert drawn[:10].tolist() != drawn[10:].tolist()
