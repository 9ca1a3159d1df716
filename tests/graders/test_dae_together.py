"""The DAE in two processes: each takes its part of the batch, and together they take the steps of one."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from helpers.dae_job import training_job
from helpers.tiny_dae import DROPPING, TRAIN, pixels
from vertegrade.graders.crops import Crops
from vertegrade.graders.dae import training as dae_training
from vertegrade.graders.dae.network import DaeNetwork
from vertegrade.graders.dae.training import DaeLearning, recipe
from vertegrade.graders.dae.validation import Validation
from vertegrade.training.loop import Training
from vertegrade.training.seeds import own_generators, step_seed


def test_two_processes_take_the_steps_of_one_on_the_mean_of_both_losses(tmp_path: Path) -> None:
    together = training_job(tmp_path / "together")
    together.start({"gpu": 2}, TRAIN.batch_size)
    torch.set_num_threads(1)
    crops = Crops([pixels()[:10]])
    learning = DaeLearning(crops, DROPPING, TRAIN, 3, "cpu")

    def loss_of_part(network: nn.Module, step: int, rank: int) -> Tensor:
        torch.manual_seed(step_seed(3, step, rank))
        learning.processes = SimpleNamespace(rank=rank, count=2)  # type: ignore[assignment]
        return learning.loss(network, *learning.batch(step))

    def loss_of_both(network: nn.Module, step: Tensor) -> Tensor:
        return (loss_of_part(network, int(step), 0) + loss_of_part(network, int(step), 1)) / 2

    with own_generators(3, "cpu"):
        network = DaeNetwork(DROPPING, 16)
        how = recipe(network, TRAIN)
        Training(network, lambda step: (torch.tensor(step),), loss_of_both, how, tmp_path / "alone", 3).run()
    found = load_file(together.weights)
    for name, wanted in network.state_dict().items():
        torch.testing.assert_close(found[name], wanted, rtol=1e-3, atol=1e-5)
    assert json.loads(together.metrics.read_text())["patients"] == 2


def test_figures_are_of_validation_patients_and_change_no_weight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[Crops] = []

    class Seen(Validation):
        def __init__(self, crops: Crops, *others: Any) -> None:
            looked_at.append(crops)
            super().__init__(crops, *others)

    monkeypatch.setattr(dae_training, "Validation", Seen)
    weights, metrics = [], []
    for split in ("validation", "test"):
        job = training_job(tmp_path / split)
        job.splits.write_text(job.splits.read_text().replace("P2\ttest", f"P2\t{split}"))
        job.run()
        weights.append(job.weights.read_bytes())
        metrics.append(json.loads(job.metrics.read_text()))
    np.testing.assert_array_equal(looked_at[0].take(np.arange(2)), pixels()[10:])
    assert [len(crops) for crops in looked_at] == [2, 10]
    assert [each["validation_crops"] for each in metrics] == [2, 0]
    assert metrics[0]["loss_right_z"] != metrics[1]["loss_right_z"]
    assert weights[0] == weights[1]
