"""Losses are read from the device every few steps: it gives the same training, and a bad step harms nothing."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from helpers.toy_training import STEPS, toy_loss, toy_training
from vertegrade.training.seeds import own_generators


def as_on_a_device(folder: Path, read_every: int, **changes: object) -> tuple[dict[str, float], dict[str, Tensor]]:
    with own_generators(3, "cpu"):
        training = toy_training(folder, **changes)  # type: ignore[arg-type]
        training.read_every = read_every
        metrics = training.run()
    return metrics, training.network.state_dict()


def test_the_same_training_and_the_same_loss(tmp_path: Path) -> None:
    (one, weights), (other, same) = (as_on_a_device(tmp_path / str(n), n, save_every_s=60) for n in (1, 5))
    assert (one["loss"], one["bad_steps"]) == (other["loss"], other["bad_steps"])
    assert all(torch.equal(weights[name], same[name]) for name in weights)


def damaged_once(network: nn.Module, x: Tensor, y: Tensor, seen: list[int]) -> Tensor:
    seen.append(1)
    return toy_loss(network, x, y) * (float("nan") if len(seen) == 4 else 1.0)


def test_a_bad_step_is_counted_when_it_is_read_and_reaches_no_weight(tmp_path: Path) -> None:
    seen: list[int] = []
    with own_generators(3, "cpu"):
        training = toy_training(tmp_path, loss=lambda *given: damaged_once(*given, seen))
        training.read_every = 5
        for training.step in range(4):
            training.train_step()
        assert training.facts["bad_steps"] == 0
        training.read()
    assert training.facts["bad_steps"] == 1
    assert all(weight.isfinite().all() for weight in training.network.parameters())
    assert all(weight.isfinite().all() for weight in training.average.network.parameters())


def test_too_many_bad_steps_end_the_training(tmp_path: Path) -> None:
    with pytest.raises(FloatingPointError, match="3 training steps had a non-finite loss"):
        as_on_a_device(tmp_path, STEPS, loss=lambda *given: toy_loss(*given) * float("nan"))
