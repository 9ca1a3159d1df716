"""A step of training asks the device for nothing and copies nothing to it but crops.

Tensors on torch's `meta` device have no values, so that every read of one (item, bool, cpu) is an error.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from helpers.tiny_dae import DROPPING, TRAIN, pixels
from vertegrade.graders.crops import Crops
from vertegrade.graders.dae import training as dae_training
from vertegrade.graders.dae.network import DaeNetwork
from vertegrade.graders.dae.training import DaeLearning, recipe
from vertegrade.settings.dae import AugmentSettings
from vertegrade.training.loop import Training

EVERYTHING = AugmentSettings(thick_px=4, kernel=0.5, contrast=0.1, level_hu=10)


class Copies(TorchDispatchMode):
    """Types of what is copied from the CPU to the device."""

    def __init__(self) -> None:
        super().__init__()
        self.types: list[torch.dtype] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        given = [value for value in args if isinstance(value, Tensor)]
        # A number (no dimension) of the CPU is a kernel's argument, and no copy.
        if isinstance(result, Tensor) and result.device.type == "meta":
            self.types += [value.dtype for value in given if value.device.type == "cpu" and value.ndim]
        return result


@pytest.fixture
def at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Training:
    """A training without values, whose weights have all been seen to move."""
    monkeypatch.setattr(dae_training, "Generator", lambda device: torch.Generator())
    train = TRAIN.model_copy(update={"augment": EVERYTHING})
    learning = DaeLearning(Crops([pixels()]), DROPPING, train, 0, "meta")
    network = DaeNetwork(DROPPING, 16).to("meta")
    training = Training(network, learning.batch, learning.loss, recipe(network, train), tmp_path, 0)
    training.guard.waiting.clear()
    return training


def test_steps_wait_for_nothing(at_work: Training) -> None:
    for at_work.step in range(3):
        at_work.train_step()
    assert len(at_work.unread) == 3
    with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        at_work.read()


def test_a_loss_that_is_read_in_a_step_would_be_found(at_work: Training) -> None:
    loss = at_work.loss
    at_work.loss = lambda *given: loss(*given) * float(loss(*given).detach())
    with pytest.raises(RuntimeError, match="meta"):
        at_work.train_step()


def test_only_crops_are_copied_to_the_device(at_work: Training) -> None:
    at_work.train_step()
    with Copies() as copies:
        at_work.train_step()
    assert copies.types == [torch.int16]
