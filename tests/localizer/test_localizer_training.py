"""Training of a network of the localizer: learns, goes on after a stop, and leaves the program's generators alone."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vertegrade.localizer.training import train_network
from vertegrade.localizer.weights import WeightsError, load_weights, save_weights
from vertegrade.training.interruption import TrainingInterrupted


def network() -> nn.Module:
    with torch.random.fork_rng([]):
        torch.manual_seed(3)
        return nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.1), nn.Tanh(), nn.Linear(8, 1))


def batch(step: int) -> tuple[Tensor, Tensor]:
    x = torch.from_numpy(np.random.default_rng([0, step]).normal(size=(16, 2))).float()
    return x, x[:, :1] - 2 * x[:, 1:]


def loss(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return (net(x) - y).square().mean()


def trained(folder: Path, steps: int = 60) -> nn.Module:
    net = network()
    train_network(net, batch, loss, steps, 1e-2, folder, 0, "cpu")
    return net


def weights_of(net: nn.Module) -> list[Tensor]:
    return [value.clone() for value in net.state_dict().values()]


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    before = loss(network().eval(), *batch(10**6))
    assert loss(trained(tmp_path, 200), *batch(10**6)) < 0.5 * before


def test_a_stopped_training_ends_as_one_that_was_not(tmp_path: Path) -> None:
    def stopping(step: int) -> tuple[Tensor, Tensor]:
        if step == 20:
            os.kill(os.getpid(), signal.SIGTERM)
        return batch(step)

    with pytest.raises(TrainingInterrupted):
        train_network(network(), stopping, loss, 60, 1e-2, tmp_path / "stopped", 0, "cpu")
    resumed, whole = trained(tmp_path / "stopped"), trained(tmp_path / "whole")
    assert all(torch.equal(a, b) for a, b in zip(weights_of(resumed), weights_of(whole), strict=True))


def test_the_programs_generator_is_left_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    trained(tmp_path, 3)
    assert torch.equal(torch.rand(3), expected)


def test_weights_come_back_with_their_facts(tmp_path: Path) -> None:
    net, other = network(), nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.1), nn.Tanh(), nn.Linear(8, 1))
    save_weights(tmp_path / "w.safetensors", net, "toy-1", {"seed": "3"})
    assert load_weights(tmp_path / "w.safetensors", other, "toy-1") == {"seed": "3"}
    assert all(torch.equal(a, b) for a, b in zip(weights_of(net), weights_of(other), strict=True))


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    save_weights(tmp_path / "w.safetensors", network(), "toy-1", {})
    with pytest.raises(WeightsError, match="toy-1"):
        load_weights(tmp_path / "w.safetensors", network(), "toy-2")


def test_a_damaged_weights_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="not a readable"):
        load_weights(tmp_path / "w.safetensors", network(), "toy-1")
