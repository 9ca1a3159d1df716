"""The DAE in two processes: each takes its part of the batch, and together they take the steps of one."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from dae.dae_tiny import MODEL, TRAIN, pixels, states
from vertegrade.graders.dae.network import DaeNetwork
from vertegrade.graders.dae.pixels import Crops
from vertegrade.graders.dae.training import DaeLearning, recipe
from vertegrade.graders.dae.training_job import DaeTrainingJob
from vertegrade.tables import CROPS, PATIENT_SPLITS, check_table
from vertegrade.training.loop import Training
from vertegrade.training.seeds import own_generators, step_seed
from vertegrade.workflow.code_hash import code_of

# Two settings that a training in parts must carry through: random draws of all kinds, and dropout.
DROPPING = MODEL.model_copy(update={"dropout": 0.1})


def training(folder: Path) -> DaeTrainingJob:
    """The tiny crops as the workflow has them: ten of training patients, two of others."""
    folder.mkdir(exist_ok=True)
    patients = [f"P{n // 6}" if n < 10 else "P2" for n in range(12)]
    table = pd.DataFrame({"patient_id": patients, "scan_id": [f"{p}-1" for p in patients], "vertebra": range(8, 20)})
    table = table.assign(crop=range(12), inside_fraction=1.0, slice_thickness_mm=1.0, evaluable=True, reason="")
    check_table(table, CROPS, "crops").to_parquet(folder / "0.parquet")
    np.save(folder / "0.npy", pixels())
    splits = pd.DataFrame({"patient_id": ["P0", "P1", "P2"], "split": ["train", "train", "test"], "origin": "given"})
    check_table(splits, PATIENT_SPLITS, "splits").to_csv(folder / "splits.tsv", sep="\t", index=False)
    return DaeTrainingJob(
        crops=[folder / "0.parquet"], pixels=[folder / "0.npy"], splits=folder / "splits.tsv", crop_settings={},
        model=DROPPING, train=TRAIN, states=states(folder / "state", code_of("train_dae")),
        weights=folder / "weights.safetensors",
        metrics=folder / "training.json", log=folder / "log", seed=3, device="cpu", threads=2,
    )  # fmt: skip


def test_two_processes_take_the_steps_of_one_on_the_mean_of_both_losses(tmp_path: Path) -> None:
    together = training(tmp_path / "together")
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
