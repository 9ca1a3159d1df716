"""A weight that has a gradient and never moves is an error, and not a network that learns nothing."""

from pathlib import Path

import pytest
import torch
from torch import nn

from helpers.tiny_dae import MODEL, TRAIN, pixels, states
from helpers.toy_training import toy_network, trained
from vertegrade.graders.crops import Crops
from vertegrade.graders.dae.training import train_dae
from vertegrade.training import optimisers
from vertegrade.training.guard import STEPS, Guard

CHANNELS_LAST = TRAIN.model_copy(update={"channels_last": True})


def test_weights_flattened_in_channels_last_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimisers, "_as_matrix", lambda weight, order: weight.detach().flatten(1))
    train_dae(Crops([pixels()]), MODEL, TRAIN, states(tmp_path / "a"), tmp_path / "a.safetensors", 0, "cpu", 1)
    with pytest.raises(RuntimeError, match=r"% of the weights\) had a gradient in 3 steps and did not move"):
        train_dae(Crops([pixels()]), MODEL, CHANNELS_LAST, states(tmp_path), tmp_path / "w.safetensors", 0, "cpu", 1)


def stepped(guard: Guard, network: nn.Module, steps: int, moved: bool = True, gradient: float = 1.0) -> None:
    for _ in range(steps):
        for weight in network.parameters():
            weight.grad = torch.full_like(weight, gradient)
        with guard.step(1e-3), torch.no_grad():
            for name, weight in network.named_parameters():
                if moved or name != "3.weight":
                    weight -= 0.1


def test_one_weight_that_stays_is_named() -> None:
    network = toy_network()
    guard = Guard(network)
    stepped(guard, network, 2, moved=False)
    with pytest.raises(RuntimeError, match=r"1 tensors \(24.2% of the weights\).* such as 3.weight:"):
        stepped(guard, network, 1, moved=False)


def test_it_looks_until_all_have_moved_or_the_first_steps_are_over() -> None:
    network = toy_network()
    guard = Guard(network)
    stepped(guard, network, 1)
    assert not guard.waiting
    guard = Guard(network)
    stepped(guard, network, STEPS - 1, moved=False, gradient=1e-12)  # as before the zeroed convolutions have moved
    assert list(guard.waiting) == ["3.weight"]
    stepped(guard, network, 1, moved=False, gradient=1e-12)
    assert not guard.waiting


def test_a_learning_rate_of_zero_moves_nothing_and_is_no_fault(tmp_path: Path) -> None:
    trained(tmp_path, learning_rate=lambda step: 0.0)
